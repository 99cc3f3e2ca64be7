"""What a report can look like, and whom to ask for it. Each format is a file beside this one.

They are imported when they are asked for: together they would cost every ``--help`` a third of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from importlib import import_module

from driftd.core.looks import Look


class Format(StrEnum):
    """The formats (docs/report.md says whom each is for)."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    SARIF = "sarif"
    JUNIT = "junit"
    HTML = "html"
    MARKDOWN = "markdown"
    OCSF = "ocsf"


def render(form: Format, looks: Sequence[Look], now: datetime) -> str:
    """The whole report as text, instances in the order given."""
    module = import_module(f"driftd.doors.report.{form}")
    made = module.text(looks) if form is Format.TABLE else module.render(looks, now)
    return str(made)
