"""Sentences about telling people: crowds of messages, what may be said twice, and what an outlet lacks."""

from __future__ import annotations

from driftd.core.findings import Severity
from driftd.core.wording import count

TWICE = "may be said twice"


def once_more(text: str) -> str:
    """A message that was being said when driftd, or the connection, ended: nobody knows whether it arrived."""
    return f"{text} ({TWICE})"


def goes_on(severity: Severity) -> str:
    """Where an alert had to end since its severity is another one."""
    return f"not over: it goes on as {severity.value}"


def crowd(messages: int, group: str) -> str:
    return f"{count(messages, 'message')} about {group or 'driftd itself'}"
