"""What our HTML documents have in common: templates that escape, parts that are written into them, and their policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """Templates of ``doors/report/page``; they escape whatever they are given, and know no value that was not."""
    loader = PackageLoader("driftd.doors.report", "page")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False)


@cache
def part(name: str) -> str:
    """A style or script of our own, to be written into a page."""
    return (files("driftd.doors.report") / "page" / name).read_text(encoding="utf-8")


def security(css: str, script: str = "") -> str:
    """The content security policy: nothing runs or loads but these two, by their digests."""
    scripts = f" script-src 'sha256-{_digest(script)}';" if script else ""
    return f"default-src 'none'; style-src 'sha256-{_digest(css)}';{scripts} base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
