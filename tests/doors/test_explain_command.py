"""``driftd explain`` as a person meets it: read from the store and the files beside the manifest, and asks nobody."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.attributed import Attribution, Level
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import InstanceRow, Pause
from driftd.core.shown import Shown
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC).replace(microsecond=0)
BEFORE, AFTER = b"PermitRootLogin no\n# password hunter2\n", b"PermitRootLogin yes\n# password hunter3\n"
SSHD = "/etc/ssh/sshd_config"
EVIL = b"/opt/\x1b[31m[red]evil\n\xff"
CONFIG = """\
trust: {unsigned: look}
groups:
  web:
    provider: static
    hosts: [10.0.0.1]
    policy: [mine.yaml]
"""
MINE = """\
schema: driftd.policy/1
name: mine
show:
  - path: /etc/ssh/sshd_config
    format: sshd_config
rules:
  - id: sshd
    match: {path: /etc/ssh/sshd_config}
    severity: critical
    action: alert
    owner: ops
    expires: 2099-01-01
    because: Nobody changes who may log in.
"""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def found(subject: bytes, rule: str, signature: str, **others) -> Finding:
    values = {"kind": "file", "change": Change.MODIFIED, "severity": Severity.CRITICAL, "action": Action.ALERT}
    values |= {"because": "Nobody changes who may log in.", "expected": {"sha256": sha(BEFORE)}}
    return Finding(
        subject=subject, rule=rule, signature=signature, **{**values, "actual": {"sha256": sha(AFTER)}, **others}
    )


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """A configuration, and an image that was baked by it; made once."""
    home = tmp_path_factory.mktemp("baked")
    (home / "root/etc/ssh").mkdir(parents=True)
    (home / "root/etc/ssh/sshd_config").write_bytes(BEFORE)
    (home / "driftd.yaml").write_text(CONFIG)
    (home / "mine.yaml").write_text(MINE)
    (home / "manifests").mkdir()
    words = ["bake", "--root", "root", "--image", "img", "-o", "manifests/img.manifest"]
    subprocess.run([sys.executable, "-m", "driftd", *words], cwd=home, check=True, capture_output=True)
    shutil.rmtree(home / "root")
    return home


@pytest.fixture
def known(driftd, tmp_path, baked):
    """Two instances that drifted alike, and somebody who was on one of them."""
    shutil.copytree(baked, tmp_path, dirs_exist_ok=True)
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    began = NOW - timedelta(hours=2)
    values = {"group": "web", "image": "img", "state": "running", "verdict": Verdict.DRIFTED, "reason": "1 finding"}
    values |= {"root": "", "verdict_since": began, "looked_at": NOW, "first_seen": began, "action": Action.ALERT}
    with store.write() as tx:
        for number in (1, 2):
            name = f"i-{number}"
            tx.put_instance(InstanceRow(id=name, slot=f"web/{number}", address=f"10.0.0.{number}", **values))
            row = tx.add_finding(name, found(SSHD.encode(), "mine:sshd", "ab" * 8), began)
            text = b"PermitRootLogin yes\n# <withheld>\n"
            tx.put_shown(row.id, Shown("sshd_config", hashlib.sha256(AFTER).digest(), text))
        evil = tx.add_finding("i-1", found(EVIL, "driftd:default", "cd" * 8, severity=Severity.LOW), began)
        tx.attribute(evil.id, Attribution(Level.POSSIBLE, "several were there"), None, began)
        eve = Session("ssh", "eve", "10.9.9.9", began - timedelta(minutes=4), ended_at=began - timedelta(minutes=1))
        tx.add_session("i-1", eve, own=False, now=began)
        tx.set_pause(Pause("", "ops", "we look ourselves", NOW))
    store.close()
    return driftd


def test_a_finding(known):
    said = known("explain", "1")
    assert said.status == 0
    for part in (
        "CRITICAL  file /etc/ssh/sshd_config modified",
        "PermitRootLogin  no → yes",
        "-PermitRootLogin no",
        "+PermitRootLogin yes",
        "(2 h",
        "Nobody changes who may log in.",
        "mine.yaml:7, owned by ops, until 2099-01-01",
        "on 1 more: web/2",
        "eve from 10.9.9.9 by ssh",
        "to be told, no more",
        'driftd accept 1 --for 7d --reason "…"',
    ):
        assert part in said.out, part
    assert "hunter" not in said.out


@pytest.mark.parametrize("name", ["i-1", "web/1", "10.0.0.1"])
def test_an_instance_has_all_its_findings_and_what_they_share_once(known, name):
    said = known("explain", name)
    assert said.out.index("CRITICAL  file") < said.out.index("LOW  file")
    assert "2 findings open" in said.out
    assert said.out.count("eve from 10.9.9.9") == 1
    assert "no pack lists this path as showable" in said.out
    assert "done by  possible: several were there" in said.out


def test_a_signature_is_explained_once(known):
    assert known("explain", "ab" * 8).out.count("PermitRootLogin  no → yes") == 1


def test_names_do_nothing_to_a_terminal(known):
    said = known("explain", "web/1")
    assert "\x1b[31m" not in said.out
    assert "[red]evil" in said.out


def test_for_programs(known):
    said = json.loads(known("explain", "web/1", "--format", "json").out)
    first, second = said["findings"]
    assert said["schema"] == "driftd.explanation/1"
    assert first["diff"]["settings"] == [{"path": "PermitRootLogin", "before": "no", "after": "yes"}]
    assert first["judged_by"]["where"].endswith("mine.yaml:7")
    assert [one["id"] for one in first["elsewhere"]] == ["i-2"]
    assert first["sessions"][0]["user"] == "eve"
    assert first["to_stop"][0]["command"].startswith("driftd accept 1 ")
    assert first["next"]
    assert second["judged_by"]["says"].startswith("no rule speaks of it")
    assert second["subject_bytes"]
    assert second["attribution"] == {"level": "possible", "why": "several were there"}
    assert "attribution" not in first, "no whole look has seen it yet"
    assert "diff" not in second


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_it_fits_the_terminal(known, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = known("explain", "web/1")
    assert max(map(len, said.out.splitlines())) <= columns


def test_nothing_of_that_name(known):
    said = known("explain", "web/9")
    assert said.status == 2
    assert re.search(r"neither an instance nor an open finding is called 'web/9'", said.err)
    assert "Traceback" not in said.err


def test_an_instance_without_findings(known):
    store = open_store("sqlite:///driftd.db")
    with store.write() as tx:
        for row in tx.open_findings("i-2"):
            tx.resolve_finding(row.id, NOW)
    store.close()
    assert "nothing open" in known("explain", "web/2").out
    gone = known("explain", "2")  # by its number one that is over is explained, too
    assert "nothing: it is no longer there" in gone.out
    assert "driftd accept" not in gone.out


def test_without_the_sidecar_it_says_so(known, tmp_path):
    (tmp_path / "manifests/img.sidecar").unlink()
    assert "the image's sidecar has not what it said" in known("explain", "1").out


def test_a_sidecar_that_was_touched_is_not_used(known, tmp_path):
    file = tmp_path / "manifests/img.sidecar"
    file.write_bytes(file.read_bytes().replace(b"PermitRootLogin no", b"PermitRootLogin on"))
    said = known("explain", "1").out
    assert "PermitRootLogin on" not in said
    assert "PermitRootLogin  " not in said


def test_what_keeps_a_replacement_from_happening_is_said(known):
    store = open_store("sqlite:///driftd.db")
    with store.write() as tx:
        tx.put_instance(replace(tx.instance("i-1"), action=Action.REPLACE))
    store.close()
    assert "not replaced: group web only observes" in " ".join(known("explain", "1").out.split())


def test_why_the_image_says_nothing_is_told(known, tmp_path):
    config = tmp_path / "driftd.yaml"
    config.write_text(config.read_text().replace("unsigned: look", "unsigned: refuse"))
    assert "is not signed" in " ".join(known("explain", "1").out.split())
