"""A shipped daemon that a queue tells of who came, with real servers: at once, and not lost with it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import accounts
import pytest
from daemons import run_daemon, wait_for_end
from placed import Place, findings, permitted
from told import Telling

from driftd.edges.providers.aws import inbox
from driftd.flows import sweep

pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(400)]


@pytest.fixture
def account(golden_image, image_cache, login_key, monkeypatch):
    with accounts.opened(golden_image, image_cache, login_key) as made:
        made.credentials(monkeypatch)
        made.emulator.knobs(trail_delay_s=100_000)  # the history says nothing
        yield made


@pytest.fixture
def place(account):
    """Looked at once an hour."""
    home = Path(tempfile.mkdtemp(prefix="da-"))
    made = Place(account, home)
    made.queue = Telling(account.client, "eu-central-1")
    text = made.config.read_text().replace("enforce: replace", "enforce: observe").replace("every: 1s", "every: 1h")
    made.config.write_text(text.replace("    groups:", f"    events: {{queue: '{made.queue.url}'}}\n    groups:", 1))
    yield made
    shutil.rmtree(home)


def mallory(place, instance):
    return [one for one in findings(place, instance).values() if "mallory" in one]


def dies_before_it_writes():
    """The process ends where a look at somebody would be written down."""
    plain = sweep.record_look

    def record(tx, group, row, look, now):
        if look.others:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(tx, group, row, look, now)

    sweep.record_look = record


def test_who_comes_is_found_at_once_and_not_lost_with_the_daemon(place, account):
    one, other = sorted(account.launched(2))
    pid = run_daemon(place.config, dies_before_it_writes)
    place.wait(lambda: {said[0] for said in place.verdicts().values()} == {"explained"} and len(place.verdicts()) == 2)
    account.emulator.forget_calls()
    account.client("ssm", "mallory").start_session(Target=one)
    assert wait_for_end(pid) == -signal.SIGKILL
    assert mallory(place, one) == []
    assert place.queue.waiting() == 1, "it heard of it, and had not stored it"
    pid = run_daemon(place.config)
    try:
        place.wait(lambda: "driftd is running" in place.log())
        account.emulator.forward(inbox.HIDDEN_S + 1)
        (who,) = place.wait(lambda: mallory(place, one))
        assert who.endswith("user/mallory")
        place.wait(lambda: place.queue.waiting() == 0)
        assert findings(place, other) == {}
        asked = {name for name in account.emulator.calls() if not name.startswith("s3.")}
        assert asked - {"StartSession", "GetQueueAttributes"} <= permitted("observe", "hear-by-sqs")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert place.house.keeping().verify()["ok"]
