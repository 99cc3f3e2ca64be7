"""The parts of docs/breakers.md that are made from the code. Run as a module, this writes them anew."""

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from driftd.core.breakers.limits import DEFAULTS
from driftd.core.breakers.table import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "breakers.md"


def _written(value) -> str:
    if not isinstance(value, timedelta):
        return str(value)
    minutes = int(value.total_seconds()) // 60
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def numbers() -> str:
    return "\n".join(
        ["breakers:", *(f"  {one.name}: {_written(getattr(DEFAULTS, one.name))}" for one in fields(DEFAULTS))]
    )


def render(text: str) -> str:
    """``text`` with the table and the numbers as they are in the code."""
    text = re.sub(
        r"(<!-- made by.*?-->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{page()}\n{m[2]}", text, flags=re.DOTALL
    )
    return re.sub(r"(```yaml\n).*?(```)", lambda m: f"{m[1]}{numbers()}\n{m[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
