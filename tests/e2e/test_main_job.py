"""The main job on real servers: nobody who only uses the service notices that servers are replaced."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from servers import pid_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_the_demo_holds_every_promise(demo_cache: Path, tmp_path: Path):
    file = tmp_path / "outcome.json"
    done = subprocess.run(
        [sys.executable, "-m", "driftd", "demo", "--json", str(file)],
        env={**os.environ, "XDG_CACHE_HOME": str(demo_cache)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(file.read_text())
    assert outcome["held"]
    assert outcome["failed"] == 0
    assert outcome["requests"] > 100
    assert outcome["slow_requests"] > 0
    assert outcome["detected_after_s"] < outcome["replaced_after_s"]
    assert {finding["kind"] for finding in outcome["findings"]} == {"file", "session"}
    assert [f["subject"] for f in outcome["findings"] if f["kind"] == "file"] == ["/opt/web/app.py"]
    assert outcome["journal"]["ok"]
    assert not (demo_cache / "driftd-demo").exists()


def test_all_three_servers_are_replaced_one_after_the_other_and_no_request_fails(fleet):
    before = fleet.instances()
    fleet.stage.start_daemon()
    fleet.stage.start_load()
    fleet.wait(fleet.known)
    for slot in sorted(before):
        rid = fleet.house.request_replacement(slot, "a rolling replacement")
        record = fleet.wait(lambda rid=rid: fleet.ended(rid))
        assert record.state == "succeeded", fleet.tale()
    requests, failed, slow, failures = fleet.stage.stop_load()
    assert (failed, failures) == (0, ())
    assert requests > 100
    assert slow > 3
    after = fleet.instances()
    assert before.keys() == after.keys()
    assert not {i.id for i in before.values()} & {i.id for i in after.values()}
    fleet.whole()
    no_trace_of_the_digest_key(fleet)


def no_trace_of_the_digest_key(fleet) -> None:
    """It went with every look, and is in no log, store, journal or report, and on no instance."""
    home = fleet.stage.config.parent
    (file,) = (home / "keys").glob("*.digest-key")
    key = bytes.fromhex(file.read_text())
    # Not what is mounted, proc and sys among it: only what instances wrote, and what driftd did.
    places = [path for path in home.iterdir() if path.name not in {"keys", "fleet"}]
    places += [path for path in (home / "fleet").glob("instances/*/*") if path.name not in {"merged", "root", "work"}]
    read = 0
    for path in (one for place in places for one in (place.rglob("*") if place.is_dir() else [place])):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            read += 1
            assert not any(form in data for form in (key, key.hex().encode(), key.hex().upper().encode())), path
    assert read > 20


def test_the_control_a_server_that_dies_without_a_drain_does_lose_requests(fleet):
    """The load would notice: without it the test above proves nothing. One alone may have had none to lose."""
    fleet.stage.start_load()
    fleet.wait(lambda: fleet.stage.scene().requests > 50)
    for victim in fleet.instances().values():
        os.kill(pid_of(victim), signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            fleet.wait(lambda: fleet.stage.scene().failed > 0, 5)
            break
    assert fleet.stage.scene().failed > 0
