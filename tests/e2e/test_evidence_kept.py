"""Evidence of a real server, over real SSH: kept before it is replaced, listed, shown, fetched, held to the journal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from fleets import BY_HAND, Fleet
from servers import pid_of

from driftd.core.replacement import State
from driftd.flows.expire import Expirer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "evidence.schema.json"
TEMPLATE = BY_HAND
PASSWORD = "correct-horse-battery"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\\n-----END OPENSSH PRIVATE KEY-----"
# What somebody may leave on a server, and what a hostile one may have there so that looking at it goes wrong.
SCENE = f"""
mkdir -p /etc/app /opt/odd
cp /usr/bin/env /usr/local/bin/kit
printf 'listen = 8080\\ndb_password = {PASSWORD}\\n' >/etc/app/app.conf
printf '%b\\n' '{KEY}' >/etc/app/tls.key
printf '%b\\n' '{KEY}' >/etc/app/notes
printf 'token\\n' >/etc/app/api_token
printf 'x' >"/opt/odd/..
b"
ln -s /etc/shadow /opt/odd/link
mkfifo /opt/odd/pipe
truncate -s 64M /opt/odd/endless
head -c 3000000 /dev/urandom >/opt/odd/noise
"""


def inside(server, script: str) -> None:
    subprocess.run(["nsenter", "-t", str(pid_of(server)), "-a", "sh", "-c", script], check=True, timeout=60)


@pytest.fixture
def told(fleet_of):
    fleet: Fleet = fleet_of(TEMPLATE)
    config = fleet.stage.config

    def driftd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driftd", "-c", str(config), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return fleet, driftd


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file, "r:gz") as tar:
        assert all(one.isreg() and one.mode == 0o600 and not one.uid for one in tar.getmembers())
        return {one.name: tar.extractfile(one).read() for one in tar.getmembers()}


def test_a_replaced_server_leaves_evidence_that_proves_itself(told, tmp_path: Path):
    fleet, driftd = told
    server = fleet.instances()["web/1"]
    inside(server, SCENE)
    inside(server, f"setsid sh -c 'sleep 600; :' sh --password={PASSWORD} </dev/null >/dev/null 2>&1 & true")
    inside(server, "setsid python3 -c 'import time; time.sleep(600)' </dev/null >/dev/null 2>&1 & true")
    fleet.stage.start_daemon()
    rid = fleet.house.request_replacement("web/1", "an intruder was there")
    record = fleet.wait(lambda: fleet.ended(rid), 120)
    assert record.state is State.SUCCEEDED, fleet.tale()
    assert record.captured == rid

    listed = driftd("evidence")
    assert listed.returncode == 0
    assert rid in listed.stdout
    assert server.id in listed.stdout.replace("\n", "")
    values = json.loads(driftd("evidence", "--json").stdout)
    (one,) = values["evidence"]
    assert (one["id"], one["instance_id"], one["there"], one["reached"]) == (rid, server.id, True, True)
    assert "an intruder was there" in one["because"]

    shown = driftd("evidence", rid)
    assert shown.returncode == 0, shown.stderr
    assert "/usr/local/bin/kit" in shown.stdout
    done = driftd("evidence", rid, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    file = tmp_path / f"{rid}.tar.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    found = members(file)
    check_contents(found, server)
    assert PASSWORD.encode() not in b"".join(found.values())
    assert b"b3BlbnNzaC1rZXk" not in b"".join(found.values())

    (copy,) = fleet.house.provider("web").root_copies()
    assert (copy.id, copy.volume_id) == (one["root"], server.id)
    data = fleet.house.provider("web").deployment.roots / server.id / f"{copy.id}.data"
    assert (data / "usr/local/bin/kit").read_bytes().startswith(b"\x7fELF")
    assert data.parent.parent.stat().st_mode & 0o777 == 0o700
    lines = driftd("journal", "show", "evidence", "--json").stdout.splitlines()
    assert [next(iter({"kept", "fetched"} & json.loads(line)["body"].keys())) for line in lines] == ["kept", "fetched"]
    refused_once_edited(fleet, driftd, rid, tmp_path)
    fleet.whole()


def check_contents(found: dict[str, bytes], server) -> None:
    index = json.loads(found["index.json"])
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(index)
    assert all(re.fullmatch(r"[a-z]+\.json|files/\d{4}\.(txt|bin)", name) for name in found)
    files = {one["path"]: one for one in index["files"]}
    kit = files["/usr/local/bin/kit"]
    assert kit["content"] == "program"
    assert found[kit["member"]].startswith(b"\x7fELF")
    app = found[files["/etc/app/app.conf"]["member"]].decode()
    assert "listen = 8080" in app
    assert "<withheld>" in app
    for path in ("/etc/app/tls.key", "/etc/app/api_token"):
        assert (files[path]["content"], "member" in files[path]) == ("none", False)
        assert files[path]["why"]
    assert files["/opt/odd/..\nb"]["content"] == "text"
    for path in ("/opt/odd/noise", "/opt/odd/endless"):
        assert "longer" in files[path]["why"]
    assert not {"/opt/odd/link", "/opt/odd/pipe"} & files.keys(), "only regular files"
    listed = json.loads(found["processes.json"])
    assert listed["incomplete"] == ""
    commands = [one["command"] for one in listed["processes"]]
    assert any("time.sleep(600)" in one for one in commands)
    assert any("sleep 600" in one for one in commands)
    look = json.loads(found["look.json"])
    subjects = {one["subject"] for one in look["findings"]}
    assert {"/usr/local/bin/kit", "/etc/app/app.conf", "/opt/odd/link", "/opt/odd/pipe"} <= subjects
    assert json.loads(found["store.json"])["journal"]
    assert index["instance"]["id"] == server.id


def refused_once_edited(fleet: Fleet, driftd, rid: str, tmp_path: Path) -> None:
    """One byte is enough, whoever can write there."""
    kept = fleet.house.custody().place().path(rid)
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert kept.stat().st_mode & 0o777 == 0o600
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    for words in ((rid,), (rid, "-o", str(tmp_path / "edited"))):
        refused = driftd("evidence", *words)
        assert refused.returncode == 2
        assert "was changed" in refused.stderr
        assert "next:" in refused.stderr
    assert not (tmp_path / "edited").exists()
    kept.write_bytes(whole)
    expired(fleet, driftd, rid)


def expired(fleet: Fleet, driftd, rid: str) -> None:
    custody = fleet.house.custody()
    fleet.stage.stop_daemon()
    later = fleet.house.now() + timedelta(days=31)
    with fleet.house.store() as store:
        said = Expirer(store, custody.place(), fleet.house.groups, clock=lambda: later).tick()
        assert len(said) == 1
        assert not Expirer(store, custody.place(), fleet.house.groups, clock=lambda: later).tick(), "once"
    assert not custody.place().path(rid).exists()
    assert not fleet.house.provider("web").root_copies()
    assert "No evidence is kept" in driftd("evidence").stdout
    gone = driftd("evidence", rid)
    assert gone.returncode == 2
    assert "kept no longer" in gone.stderr


def test_evidence_by_hand_of_a_server_that_runs_on(told):
    fleet, driftd = told
    server = fleet.instances()["web/2"]
    taken = driftd("evidence", "web/2", "--now", "--reason", "OPS-4711", "--json")
    assert taken.returncode == 0, taken.stderr
    done = json.loads(taken.stdout)
    assert (done["schema"], done["instance"]) == ("driftd.done/1", server.id)
    shown = json.loads(driftd("evidence", done["evidence"], "--json").stdout)
    assert (shown["because"], shown["replacement"], shown["reached"]) == ("OPS-4711", "", True)
    assert fleet.instances()["web/2"].id == server.id
    for words in (("evidence", "web/2", "--now"), ("evidence", "web/9", "--now", "--reason", "x")):
        refused = driftd(*words)
        assert refused.returncode == 2
        assert "next:" in refused.stderr


def test_where_evidence_is_required_and_there_is_no_room_nothing_is_changed(fleet_of):
    template = TEMPLATE.replace(
        "groups:\n  web:\n", "evidence: {{room: 1M}}\ngroups:\n  web:\n    evidence: {{require: true}}\n"
    )
    assert template != TEMPLATE
    fleet: Fleet = fleet_of(template)
    before = fleet.instances()
    inside(
        before["web/1"], "for n in 1 2 3; do cp /usr/bin/env /usr/local/bin/kit$n; echo $n >>/usr/local/bin/kit$n; done"
    )
    place = fleet.house.custody().place().directory
    place.mkdir(mode=0o700)
    (place / "01KTQ8Z3F5M7N9P1R3T5V7W9XA.tar.gz").write_bytes(b"x" * (1 << 20))
    fleet.stage.start_daemon()
    rid = fleet.house.request_replacement("web/1", "a rehearsal")
    record = fleet.wait(lambda: fleet.ended(rid), 60)
    assert record.state is State.ABORTED_SAFE
    assert "no room for evidence" in record.note
    assert "evidence.require" in record.note
    assert {slot: one.id for slot, one in fleet.instances().items()} == {slot: one.id for slot, one in before.items()}
    fleet.stage.stop_daemon()
    shutil.rmtree(place)
