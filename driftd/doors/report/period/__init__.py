"""The report of a period, for auditors: one model (core/period.py), told in four ways (docs/report-period.md)."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module

from driftd.core.period import Period

_MODULES = {"table": "table", "json": "asjson", "html": "page", "markdown": "marked"}


class Format(StrEnum):
    """The formats."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"
    MARKDOWN = "markdown"


def render(form: Format, period: Period) -> str:
    """The whole report as text with a line feed at its end. A format is imported when it is asked for."""
    return str(import_module(f"driftd.doors.report.period.{_MODULES[form]}").render(period))
