"""Hooks for real: the shipped daemon moves a data server, and tells a command and an HTTP server at each moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from data_fleet import CONFIG, data_fleets
from receiving import receiver

from driftd.core.replacement import State

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

PLAIN = "hooks: {{quiesce: [./tell, rest], serve: [./tell, serve], timeout: 10s}}"
TOLD = """\
hooks:
      quiesce: [./tell, rest]
      serve: [./tell, serve]
      pre_drain: {{url: "URL", token_file: token, secret_file: secret}}
      post_attach: {{command: [./note], timeout: 5s}}
      pre_terminate: {{url: "URL", on_failure: ON_FAILURE, within: 2s}}
      timeout: 10s"""
NOTE = """\
#!/bin/sh
env | grep '^DRIFTD_' | sort >> HOME/noted
head -c 100000000 /dev/zero >&2
"""
TOKEN = "tok-3n-0123456789abcdef"


@pytest.fixture
def told(image_cache, golden_image):
    """A fleet whose hooks post to the receiver."""
    with receiver() as there, data_fleets(image_cache) as make:

        def begin(on_failure: str):
            assert PLAIN in CONFIG
            hooks = TOLD.replace("URL", there.url).replace("ON_FAILURE", on_failure)
            fleet = make(CONFIG.replace(PLAIN, hooks), before=_files)
            return fleet, there

        yield begin


def _files(home):
    (home / "token").write_text(TOKEN)
    (home / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    (home / "note").write_text(NOTE.replace("HOME", str(home)))
    (home / "note").chmod(0o755)


def test_each_is_told_once_while_what_a_slot_owns_moves(told):
    fleet, there = told("abort")
    old = fleet.instances()["db/1"]
    with fleet.daemon():
        rid = fleet.house.request_replacement("db/1", "it is time")
        record = fleet.wait(lambda: fleet.ended(rid))
    assert record.state is State.SUCCEEDED, fleet.tale()
    posted = [json.loads(one.body) for one in there.posts]
    assert [(one["hook"], one["instance"], one["rid"]) for one in posted] == [
        ("pre_drain", old, rid),
        ("pre_terminate", old, rid),
    ]
    assert [one.headers["idempotency-key"] for one in there.posts] == [
        f"{rid}/pre_drain/{old}",
        f"{rid}/pre_terminate/{old}",
    ]
    assert there.posts[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in there.posts[1].headers
    noted = dict(line.split("=", 1) for line in (fleet.home / "noted").read_text().splitlines())
    assert (noted["DRIFTD_HOOK"], noted["DRIFTD_INSTANCE"], noted["DRIFTD_RID"]) == ("post_attach", record.new_id, rid)
    with fleet.house.store() as store, store.read() as tx:
        outcomes = [(one.body["call"], one.body["outcome"]) for one in tx.journal_lines(rid) if one.kind == "result"]
    assert [one for one in outcomes if one[0].startswith("p")] == [
        ("pre_drain", "done"),
        ("post_attach", "done"),
        ("pre_terminate", "done"),
    ]
    kept = b"".join(path.read_bytes() for path in fleet.home.glob("driftd.*"))
    assert TOKEN.encode() not in kept, "neither in the store nor in the log"
    fleet.whole()


def test_one_that_holds_is_told_of_until_somebody_calls_it_off(told):
    fleet, there = told("hold")
    there.says = b"the change board has not met"
    old = fleet.instances()["db/1"]

    def driftd(*words: str) -> str:
        command, wide = [sys.executable, "-m", "driftd", *words], {**os.environ, "COLUMNS": "400"}
        done = subprocess.run(
            command, cwd=fleet.home, capture_output=True, text=True, env=wide, timeout=60, check=False
        )
        return done.stdout

    with fleet.daemon():
        rid = fleet.house.request_replacement("db/1", "it is time")
        fleet.wait(lambda: there.posts)  # the first is told yes
        there.status = 503
        waits = fleet.wait(lambda: next((one for one in fleet.replacements() if "is hold" in one.note), None))
        assert waits.state is State.RETIRING
        status = driftd("status")
        fleet.house.request_cancel(rid)
        record = fleet.wait(lambda: fleet.ended(rid))
    for said in (status, waits.note):
        assert f"the pre_terminate hook of db on {old} was answered 503 by {there.url}: the change board" in said
        assert f"on_failure is hold: it is asked again until it is done, or driftd cancel {rid}" in said
    assert record.state is State.CANCELLED, fleet.tale()
    assert fleet.instances()["db/1"] == old
    fleet.whole()
