"""helm/driftd/README.md, made from the chart's values and their schema.

``PYTHONPATH=tests/house python -m chart_page`` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = Path(__file__).resolve().parents[2] / "helm" / "driftd"
PAGE = CHART / "README.md"
HEAD = """\
# The driftd chart

One driftd in a cluster, which looks after servers that it reaches over SSH (or by a provider of yours): a StatefulSet
of one pod, its store on a volume, nothing run as root and no right in the cluster. How to install, upgrade and back it
up, and what of this was tried and what was not: [docs/kubernetes.md](../../docs/kubernetes.md).

```sh
helm install driftd helm/driftd -n driftd --create-namespace -f my-values.yaml
```

Secrets are named here and never written here. A value that is not in this table is refused.

| value | default | is |
| --- | --- | --- |
"""


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each value's dotted name and schema; what a person fills in freely is one value."""
    for name, node in schema["properties"].items():
        here = f"{path}.{name}" if path else name
        if node.get("properties") and node.get("additionalProperties") is False:
            yield from leaves(node, here)
        else:
            yield here, node


def values(tree: dict[str, Any], known: set[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value's dotted name and default; ``known`` are the names that are one value."""
    for name, node in tree.items():
        here = f"{path}.{name}" if path else name
        if isinstance(node, dict) and here not in known:
            yield from values(node, known, here)
        else:
            yield here, node


def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def defaults() -> dict[str, Any]:
    """The default of every value."""
    tree = YAML(typ="safe", pure=True).load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return dict(values(tree, {name for name, _ in leaves(schema())}))


def render() -> str:
    """The page as it is to be."""
    found = defaults()
    rows = [
        f"| `{name}` | {f'`{json.dumps(found[name])}`' if name in found else ''} | {node['description']} |"
        for name, node in leaves(schema())
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
