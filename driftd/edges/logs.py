"""Structured logs (structlog), and the notifier that says messages there.

JSON lines where a machine reads, aligned text on a terminal. Values come from instances: control characters are
escaped, so that nobody can forge a line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from driftd.core.findings import Severity
from driftd.core.notices import Notice
from driftd.core.wording.notices import TWICE

_LEVELS = {Severity.INFO: "info", Severity.LOW: "info", Severity.MEDIUM: "warning"}


def _escape(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode("ascii")
    return event


def configure(stream: TextIO | None = None, *, as_json: bool | None = None, level: int = logging.INFO) -> None:
    """Set up logging for this process, to standard error as it is now where no ``stream`` is named.

    ``as_json`` None decides by whether that is a terminal.

    What is below ``level`` is left out: a command whose output is its answer logs warnings only.
    """
    terminal = (stream or sys.stderr).isatty()
    as_json = not terminal if as_json is None else as_json
    last: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: structlog.WriteLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for talker in ("slack_sdk", "apprise"):  # what went wrong is told by our edges; theirs may name addresses
        logging.getLogger(talker).setLevel(logging.CRITICAL)


class LogNotifier:
    """Says messages in the log: the notifier that is always there."""

    def send(self, notice: Notice) -> None:
        """Write one line for each message; never fails."""
        log = structlog.get_logger()
        for delivery in notice.deliveries:
            message = delivery.message
            say = getattr(log, _LEVELS.get(message.severity, "error"))
            about = {"instance": message.instance_id, "replacement": message.rid}
            if delivery.doubt:
                about["again"] = TWICE
            say(
                message.text, code=message.code, severity=str(message.severity), **{k: v for k, v in about.items() if v}
            )
