"""``driftd attest`` from outside, over a store that has a last look: what is written, shown, journalled and refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from base64 import b64decode, b64encode
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attesting
import pytest

from driftd import wiring
from driftd.core import strictjson
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import InstanceRow, Suppression
from driftd.core.seal import SeenManifest
from driftd.doors.desks.baking import Source
from driftd.edges.documents import load_manifest, load_public, load_signing, make_keys, seal_attestation
from driftd.edges.documents.manifests import Trust
from driftd.edges.store import open_store

CONFIG = """\
trust: {manifest_keys: [release.pub], signing_key: release}
groups: {web: {provider: static, image: img, hosts: ["127.0.0.1:1"]}}
"""
pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)
ROW = InstanceRow(
    id="i-1",
    group="web",
    slot="web/1",
    image="img",
    address="192.0.2.17",
    state="running",
    verdict=Verdict.CLEAN,
    reason="as img was baked",
    root="ab" * 32,
    verdict_since=NOW - timedelta(days=2),
    looked_at=None,
    first_seen=NOW - timedelta(days=4),
)


class Place:
    """A configured directory, its store, and the ``driftd`` command in it."""

    def __init__(self, driftd, directory: Path) -> None:
        self.driftd = driftd
        self.dir = directory

    def store(self, ago: timedelta = timedelta(minutes=3), **changes) -> None:
        """The instance's row with these changes, looked at so long ago."""
        row = replace(ROW, **{"looked_at": datetime.now(UTC) - ago, **changes})
        self.write(lambda tx: tx.put_instance(row))

    def write(self, change) -> None:
        with closing(open_store(f"sqlite:///{self.dir / 'driftd.db'}")) as store, store.write() as tx:
            change(tx)

    def seen(self, at: datetime) -> None:
        """The store saw the manifest as it is there now, first at ``at``."""
        made = load_manifest(self.dir / "manifests/img.manifest", Trust((load_public(self.dir / "release.pub"),)))
        row = SeenManifest("img", made.seal.sequence, made.seal.statement, at)
        self.write(lambda tx: tx.see_manifest(row))

    def last(self, *words: object):
        return self.driftd("attest", "web/1", "--last", "-o", "out.json", *words)

    def predicate(self) -> dict:
        return json.loads(b64decode(json.loads((self.dir / "out.json").read_text())["payload"]))["predicate"]

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.driftd("journal", "show", "--json").out.splitlines()]

    def refused(self, said, told: str, status: int = 3) -> None:
        assert (said.status, said.out) == (status, ""), said
        assert told in said.err
        assert said.err.count("\n") == 2, "a sentence, and what to do next"


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """What every test begins with, made once."""
    directory = tmp_path_factory.mktemp("template")
    (directory / "driftd.yaml").write_text(CONFIG)
    (directory / "tree/etc").mkdir(parents=True)
    (directory / "tree/etc/motd").write_text("hello\n")
    (directory / "manifests").mkdir()
    make_keys(directory / "release")
    house = wiring.build(directory / "driftd.yaml")
    file = directory / "manifests/img.manifest"
    house.baking().bake(Source(root=directory / "tree"), "img", file)
    house.trust().sign(file)
    Place(None, directory).seen(NOW - timedelta(days=3))
    return directory


@pytest.fixture
def place(driftd, template, tmp_path: Path) -> Place:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    made = Place(driftd, tmp_path)
    made.store()
    return made


# --- of the last look ------------------------------------------------------------------------------------------------


def test_the_last_look_is_attested_noted_and_verified(place):
    made = place.last()
    assert made.status == 0, made.err
    said = place.predicate()
    assert (said["verificationResult"], said["verdict"], said["look"]["recalled"]) == ("PASSED", "clean", True)
    assert (said["coverage"], said["policy"], said["look"]["means"]) == (None, None, None)
    assert said["look"]["startedOn"] == said["timeVerified"]
    text = (place.dir / "manifests/img.manifest").read_bytes()
    assert said["image"]["manifest"]["digest"]["sha256"] == hashlib.sha256(text).hexdigest()
    verified = place.driftd("attest", "--verify", "out.json", "--instance", "i-1", "--image", "img", "--json")
    assert verified.status == 0, verified.err
    shown = json.loads(verified.out)
    assert (shown["schema"], shown["verified"]) == ("driftd.attestation/1", True)
    assert 180 <= shown["age"] < 600
    assert {name: shown[name] for name in said} == said
    (line,) = place.lines()
    assert (line["kind"], line["subject"], line["body"]["did"]) == ("human", "i-1", "attest")
    assert (line["body"]["statement"], line["body"]["keys"]) == (shown["statement"], shown["keys"])
    screen = place.driftd("attest", "--verify", "out.json")
    assert screen.out.startswith("PASSED  i-1  web/1\n")
    assert "told by the store, without a visit" in screen.out


def test_it_is_printed_or_told_of_in_json(place):
    printed = place.driftd("attest", "i-1", "--last")
    assert printed.status == 0
    assert "i-1: PASSED (clean), signed by " in printed.err
    (place.dir / "printed.json").write_text(printed.out)
    assert place.driftd("attest", "--verify", "printed.json").status == 0
    told = json.loads(place.last("--json").out)
    assert (told["schema"], told["did"], told["result"], told["file"]) == (
        "driftd.done/1",
        "attest",
        "PASSED",
        "out.json",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"looked_at": None}, "was never looked at"),
        ({"verdict": Verdict.UNKNOWN, "reason": "nobody answered"}, "could not see it, so nothing is attested: nobody"),
        ({"ago": timedelta(hours=2)}, "the last look at i-1 is 2 h old"),
        ({"ago": timedelta(days=5)}, "is 5 d old"),
    ],
)
def test_where_there_was_no_look_to_go_by_nothing_is_written(place, changes, told):
    place.store(**changes)
    place.refused(place.last(), told)
    assert not (place.dir / "out.json").exists()
    assert place.lines() == []


def test_a_manifest_that_the_last_look_may_not_have_gone_by_is_none_to_attest_by(place):
    place.store(timedelta(days=3, hours=2))
    place.refused(place.last("--valid-for", "9d"), "is another, or was first seen, since the last look began")
    place.store()
    assert place.driftd("manifest", "sign", "img").status == 0
    place.refused(place.last(), "is another, or was first seen, since the last look began")
    (place.dir / "manifests/img.manifest.dsse.json").unlink()
    place.refused(place.last(), "is not signed, so nothing is judged by it")
    (place.dir / "driftd.yaml").write_text(CONFIG.replace("{manifest_keys", "{unsigned: look, manifest_keys"))
    place.refused(place.last(), "nobody signed the manifest of img")


def finding(kind: str = "file", suppressed: str = "") -> Finding:
    fields = {"door": "ssh", "user": "eve", "source": "192.0.2.1", "started_at": "2026-01-01T00:00:00Z"}
    actual = fields if kind == "session" else {}
    level = Severity.HIGH
    made = Finding(kind, b"x", Change.ADDED, level, Action.REPLACE, "ab" * 8, "r", "b", {}, actual)
    return replace(made, suppressed_by=suppressed)


def test_what_is_drifted_is_attested_as_failed(place):
    place.store(verdict=Verdict.DRIFTED, reason="/etc/motd changed")
    place.write(lambda tx: tx.add_finding("i-1", finding(), NOW))
    made = place.last()
    assert made.status == 1
    assert "FAILED (drifted)" in made.out
    said = place.predicate()
    assert (said["failures"], said["findings"]["bySeverity"]["high"]) == (["drifted"], 1)
    assert place.driftd("attest", "--verify", "out.json").status == 1
    assert json.loads(place.driftd("attest", "--verify", "out.json", "--json").out)["verificationResult"] == "FAILED"


def test_who_was_there_fails_it_however_clean_it_looks_until_somebody_accepts_that(place):
    place.store(taint="eve was on it", taint_since=NOW)
    place.write(lambda tx: tx.add_session("i-1", Session("ssh", "eve", "192.0.2.1", NOW), own=False, now=NOW))
    place.write(lambda tx: tx.add_finding("i-1", finding("session"), NOW))
    assert place.last().status == 1
    said = place.predicate()
    assert (said["verdict"], said["failures"], said["taint"]["reason"]) == ("clean", ["tainted"], "eve was on it")
    place.write(lambda tx: tx.add_suppression(acceptance(NOW + timedelta(days=1))))
    assert place.last().status == 0


def acceptance(until: datetime) -> Suppression:
    return Suppression(0, "ab" * 8, "", "ann", "OPS-1", NOW - timedelta(days=1), until)


def test_acceptances_stand_in_it_and_one_that_ran_out_is_no_longer_gone_by(place):
    place.store(verdict=Verdict.EXPLAINED, reason="1 finding, accepted")
    place.write(lambda tx: tx.add_finding("i-1", finding(suppressed="ann"), NOW))
    place.refused(place.last(), "1 finding of the last look at i-1 is no longer accepted")
    place.write(lambda tx: tx.add_suppression(acceptance(NOW + timedelta(days=1))))
    assert place.last().status == 0
    (one,) = place.predicate()["acceptances"]
    assert (one["owner"], one["reason"], one["signature"]) == ("ann", "OPS-1", "ab" * 8)
    assert place.predicate()["findings"]["accepted"] == 1


# --- of a look now ---------------------------------------------------------------------------------------------------


def test_who_does_not_answer_is_not_attested(place):
    said = place.driftd("attest", "127.0.0.1:1", "-o", "out.json")
    place.refused(said, "127.0.0.1:1 could not be looked at, so nothing is attested: ")
    assert not (place.dir / "out.json").exists()
    assert place.lines() == []


def test_what_does_not_go_together_is_wrong_usage(place):
    for words, told in (
        ("", "nothing says what to attest"),
        ("i-1 --verify out.json", "makes none"),
        ("--verify out.json --last", "makes none"),
        ("i-1 --instance i-1", "go with --verify"),
        ("i-1 --last --json", "name a file for it"),
        ("i-1 --last --valid-for 91d", "longer than 90 d"),
        ("i-1 --last --key release.pub", "is a public key"),
        ("--verify out.json --key release", "holds a private key"),
        ("--verify nowhere", "nowhere: cannot be read"),
        ("--verify tree", "it is no regular file"),
    ):
        place.refused(place.driftd("attest", *words.split()), told, status=2)


def test_without_a_key_there_is_nothing_to_sign_with_and_nobody_to_believe(place):
    (place.dir / "driftd.yaml").write_text(CONFIG.partition("\n")[2])
    place.refused(place.last(), "there is no key to sign with", status=2)
    place.refused(place.driftd("attest", "--verify", "out.json"), "no key is trusted here", status=2)


# --- what is refused of a file ---------------------------------------------------------------------------------------


@pytest.fixture
def auditor(driftd, tmp_path: Path):
    """Has a file and a key, and no configuration."""
    now = datetime.now(UTC)
    attesting.write(tmp_path / "given", attesting.PASSED, now)
    attesting.write(tmp_path / "other", attesting.PASSED, now)

    def verify(*words: str, key: str = "given/attest.pub", file: str = "given/attestation.json"):
        return driftd("attest", "--verify", file, "--key", key, *words)

    return verify


def signed(tmp_path: Path, **changes) -> None:
    """``given/attestation.json`` once more, with these changes, by its own key."""
    made = replace(attesting.PASSED, **changes)
    key = load_signing(tmp_path / "given/attest")
    (tmp_path / "given/attestation.json").write_bytes(seal_attestation(attesting.encode(made), [key]))


def test_an_auditor_needs_a_key_and_no_configuration(auditor, tmp_path):
    said = auditor("--instance", "i-1", "--image", "web-7")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("PASSED  i-1")
    (tmp_path / "driftd.yaml").write_text("groops: {}\n")
    assert auditor().status == 0, "nor does a wrong one keep anybody from it"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"key": "other/attest.pub"}, "is trusted here"),
        ({"words": ("--instance", "i-2")}, "it is of the instance i-1 and not of i-2"),
        ({"words": ("--instance", "web/1")}, "not of web/1"),
        ({"words": ("--image", "web-8")}, "it is of the image web-7 and not of web-8"),
    ],
)
def test_anybody_elses_is_refused(auditor, words, told):
    said = auditor(*words.pop("words", ()), **words)
    assert (said.status, said.out) == (3, "")
    assert told in said.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"hello", "it is not JSON"),
        (b"{}", "this is not a DSSE envelope"),
        (b" " * (2**20 + 1), "larger than an envelope may be"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_envelope_is_refused(auditor, tmp_path, text, told):
    (tmp_path / "given/attestation.json").write_bytes(text)
    said = auditor()
    assert (said.status, said.out) == (3, "")
    assert told in said.err


def test_edited_expired_of_the_future_and_of_another_kind(auditor, tmp_path, driftd):
    file = tmp_path / "given/attestation.json"
    whole = file.read_text()
    envelope = json.loads(whole)
    payload = b64decode(envelope["payload"])
    text = payload.replace(b"i-1", b"i-2")
    file.write_bytes(strictjson.pretty(envelope | {"payload": b64encode(text).decode()}))
    assert "is not that key's over what is there" in auditor().err
    file.write_text(whole.replace("\n", "\r\n"))
    assert "so it was edited" in auditor().err
    now = datetime.now(UTC)
    ago = replace(attesting.PASSED.seen, started=now - timedelta(hours=2), finished=now - timedelta(hours=2))
    signed(tmp_path, seen=ago, valid_until=now - timedelta(hours=1))
    assert "it held until" in auditor().err
    ahead = replace(ago, started=now + timedelta(hours=1), finished=now + timedelta(hours=1))
    signed(tmp_path, seen=ahead, valid_until=now + timedelta(hours=2))
    assert "which is still to come" in auditor().err
    (tmp_path / "tree").mkdir()
    words = ("bake", "--root", "tree", "--image", "img", "--sign-with", "given/attest", "-o", "img.manifest")
    assert driftd(*words).status == 0
    said = auditor(file="img.manifest.dsse.json")
    assert (said.status, "it is a signed manifest" in said.err) == (3, True)


def test_names_in_it_do_nothing_to_a_terminal(auditor, driftd, tmp_path):
    attesting.write(tmp_path / "bad", attesting.FAILED, datetime.now(UTC))
    said = auditor(key="bad/attest.pub", file="bad/attestation.json")
    assert said.status == 1
    assert "\x1b" not in said.out
    assert "[bold]x" in said.out, "nothing is markup"
    for told in ("tainted", "provisional", "2 paths that could not be read", "ann [b]x", "in full: binfmt"):
        assert told in said.out
