"""Whom driftd tells, as configured: every mistake is one sentence before the daemon begins, and no secret is in it."""

from __future__ import annotations

import base64
import time

import pytest

from driftd.core.errors import BadInput, DriftdError
from driftd.edges.store import open_store
from driftd.settings import load
from driftd.wiring.house import WiredHouse
from driftd.wiring.notifying import Notifying

TOKEN = "xoxb-s3cr3t"


@pytest.fixture
def notifying(tmp_path):
    """What a configuration amounts to."""
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T0/B0/s3cr3t\n")
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(bytes(32)).decode())
    (tmp_path / "urls").write_text("json://localhost/s3cr3t\njson://localhost/other\n")
    (tmp_path / "empty").write_text("")

    def made(text: str) -> Notifying:
        config = tmp_path / "driftd.yaml"
        config.write_text(text)
        return Notifying(WiredHouse(load(config), config), store)

    yield made
    store.close()


SLACK = 'channel: "#fleet", token_file: token'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{}", ["log"]),
        (f"notify: {{slack: {{{SLACK}}}}}", ["log", "slack"]),
        (f"notify: {{slack: {{{SLACK}, app_token_file: token, may: {{hold: [U1]}}}}}}", ["log", "slack"]),
        ("notify: {slack: {webhook_file: hook}}", ["log", "slack"]),
        (
            "notify: {webhooks: [{url: 'http://127.0.0.1:1/a'}, {url: 'http://127.0.0.1:1/b', name: pager}]}",
            ["log", "webhook-1", "webhook-pager"],
        ),
        (
            "notify: {webhooks: [{url: 'https://e.example/a', secret_file: secret, token_file: token}]}",
            ["log", "webhook-1"],
        ),
        ("alertmanager: {url: 'http://127.0.0.1:1'}\nnotify: {alertmanager: {post: true}}", ["log", "alertmanager"]),
    ],
)
def test_what_is_configured_is_an_outlet(notifying, text, names):
    found = notifying(text)
    assert found.names == names
    jobs = [beat.name for beat in found.beats()]
    assert jobs[0] == "announce"
    assert {f"announce-{name}" for name in names[1:]} <= set(jobs)
    assert ("buttons" in jobs) is ("app_token_file" in text)
    found.close()


def test_the_job_of_each_outlet_gives_signs_of_life(notifying):
    found = notifying(
        "alertmanager: {url: 'http://127.0.0.1:1'}\n"
        "notify: {alertmanager: {post: true}, webhooks: [{url: 'http://127.0.0.1:1/a'}]}"
    )
    beats = {beat.name: beat for beat in found.beats()}
    assert set(beats) == {"announce", "announce-webhook-1", "announce-alertmanager"}
    for beat in beats.values():
        before = time.monotonic()
        beat.run()
        assert beat.sign() >= before, beat.name
    found.close()


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise tries it
def test_each_apprise_url_is_an_outlet(notifying):
    assert len(notifying("notify: {apprise: {urls_file: urls}}").names) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slack: {channel: x}", "channel and token_file go together"),
        ("slack: {webhook_file: hook, channel: x, token_file: token}", "a way of its own"),
        ("slack: {app_token_file: token}", "need messages that can change"),
        (f"slack: {{{SLACK}, may: {{hold: [jane]}}}}", "'jane' is no user id of Slack"),
        (f"slack: {{{SLACK}, may: {{shout: [U1]}}}}", "shout"),
        (f"slack: {{{SLACK}, at_least: loud}}", "at_least"),
        (f"slack: {{{SLACK}, url: 'http://slack.example/api/'}}", "in clear"),
        ('slack: {channel: "#fleet", token_file: none}', "cannot be read"),
        ('slack: {channel: "#fleet", token_file: empty}', "is no token of Slack"),
        ("slack: {webhook_file: empty}", "is no address"),
        ("webhooks: [{url: 'ftp://x'}]", "is no address"),
        ("webhooks: [{url: 'https://x/', secret_file: token}]", "is no secret of a webhook"),
        ("webhooks: [{url: 'http://e.example/', token_file: token}]", "in clear"),
        ("webhooks: [{url: 'https://x/', name: a}, {url: 'https://y/', name: a}]", "two webhooks are called 'a'"),
        ("webhooks: [{url: 'https://x/', name: 'A b'}]", "name"),
        ("alertmanager: {post: true}", "nobody is there to take them"),
        ("apprise: {urls_file: empty}", "has no URL in it"),
        ("apprise: {urls_file: none}", "cannot be read"),
        ("pager: {}", "pager"),
    ],
)
def test_a_mistake_is_one_sentence_without_a_secret(notifying, text, said):
    with pytest.raises(BadInput, match=said) as raised:
        notifying(f"notify:\n  {text}\n")
    assert "s3cr3t" not in str(raised.value) + raised.value.hint
    assert "\n" not in str(raised.value)


def test_without_the_extra_the_sentence_says_how_to_get_it(notifying, monkeypatch):
    import sys

    for name in [one for one in sys.modules if one.startswith(("driftd.edges.slack.", "driftd.edges.longtail"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "slack_sdk", None)
    monkeypatch.setitem(sys.modules, "apprise", None)
    for text in (f"slack: {{{SLACK}}}", "apprise: {urls_file: urls}"):
        with pytest.raises(DriftdError) as raised:
            notifying(f"notify:\n  {text}\n")
        assert "pip install" in raised.value.hint
