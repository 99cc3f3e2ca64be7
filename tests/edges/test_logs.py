"""Logs: one line an event, and nobody can forge a line."""

import io
import json

import pytest
import structlog

from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.notices import Notice
from driftd.core.outbox import Delivery
from driftd.edges import logs


@pytest.fixture
def lines():
    stream = io.StringIO()
    logs.configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_a_message_keeps_its_code_and_severity(lines):
    message = Message("k", "drifted", Severity.HIGH, "i-1 drifted", instance_id="i-1")
    logs.LogNotifier().send(Notice((Delivery(message),)))
    (line,) = lines()
    assert line["event"] == "i-1 drifted"
    assert (line["code"], line["severity"], line["level"], line["instance"]) == ("drifted", "high", "error", "i-1")
    assert "replacement" not in line


@pytest.mark.parametrize("as_json", [True, False])
def test_a_name_cannot_forge_a_line(as_json: bool):
    stream = io.StringIO()
    logs.configure(stream, as_json=as_json)
    structlog.get_logger().info("changed \x1b[2J\nroot logged in", path="a\nb")
    structlog.reset_defaults()
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()
