"""docs/metrics.md names every metric that there is, and no other; docs/configuration.md every setting."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from driftd import settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
METRICS = (ROOT / "docs" / "metrics.md").read_text()
SHOWN = re.compile(r"^\| `(driftd_\w+)`", re.MULTILINE)
KINDS = {"Gauge", "Counter", "Histogram", "Summary", "Info", "GaugeMetricFamily", "CounterMetricFamily", "by_group"}


def defined() -> Iterator[str]:
    """Every name as Prometheus shows it."""
    for file in sorted((ROOT / "driftd").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            kind = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            first = node.args[0] if kind in KINDS and node.args else None
            if isinstance(first, ast.Constant) and str(first.value).startswith("driftd_"):
                yield first.value + ("_total" if kind.startswith("Counter") else "")


def test_every_metric_is_written_down_once():
    found = sorted(defined())
    assert len(found) > 40
    assert sorted(SHOWN.findall(METRICS)) == found


def names(model: type[BaseModel]) -> Iterator[str]:
    """Every setting's own name, of all that are inside each other."""
    for name, field in model.model_fields.items():
        if not field.exclude:
            yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from names(kind)


def test_every_setting_is_written_down_somewhere():
    pages = PAGE + "".join(
        (ROOT / "docs" / name).read_text()
        for name in ("breakers.md", "canary.md", "hooks.md", "manifest.md", "notify.md", "providers.md")
    )
    lacking = {name for name in names(settings.Settings) if not re.search(rf"\b{name}\b", pages)}
    assert not lacking
