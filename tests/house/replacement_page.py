"""The tables and diagrams of docs/replacement.md, made from driftd/core/variants.py.

``PYTHONPATH=tests/house python -m replacement_page`` writes them anew; what stands around them is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from driftd.core.variants import STEPS, VARIANTS, diagram, ways_out
from driftd.core.world import Limits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "replacement.md"
_MARK = "<!-- made from core/variants.py: {} -->"


def parts() -> dict[str, str]:
    """What is made, by the name of its place."""
    made = {"steps": _steps(), "ways out": _mermaid(ways_out())}
    for variant in VARIANTS.values():
        made[variant.name] = f"{variant.sentence[0].upper()}{variant.sentence[1:]}.\n\n{_mermaid(diagram(variant))}"
    return made


def render(page: str) -> str:
    """The page with each made part in its place. Raises ValueError where a place is missing."""
    for name, text in parts().items():
        begin, end = _MARK.format(name), _MARK.format("end")
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"the page has no place for {name!r}")
        page = pattern.sub(lambda _, made=f"{begin}\n{text}\n{end}": made, page, count=1)
    return page


def _steps() -> str:
    lines = ["| state | call | done when | limit | undo |", "| --- | --- | --- | --- | --- |"]
    for step in STEPS:
        limit = _lasting(getattr(Limits(), step.limit).total_seconds()) if step.limit else "none"
        lines.append(f"| {step.state.value} | {step.call or '-'} | {step.done_when} | {limit} | {step.undo or '-'} |")
    return "\n".join(lines)


def _lasting(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _mermaid(text: str) -> str:
    return f"```mermaid\n{text}\n```"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
