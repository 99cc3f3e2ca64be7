"""``driftd journal`` and ``driftd store`` from outside: what a person, an auditor and a timer see."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementPb
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from driftd.core.upkeep import ChainState
from driftd.edges.store import open_store

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "journal.md"
CONFIGURATION = """\
trust: {unsigned: look, signing_key: key}
store: sqlite:///driftd.db
groups: {}
"""


@pytest.fixture
def home(driftd, tmp_path: Path) -> Path:
    """A store with nine lines, and a key."""
    (tmp_path / "driftd.yaml").write_text(CONFIGURATION)
    assert driftd("manifest", "keygen", "key").status == 0
    for number in range(4):
        assert driftd("pause", "--reason", f"lunch \udcff {number}").status == 0
        assert driftd("resume").status == 0
    assert driftd("pause", "--reason", "for good").status == 0
    return tmp_path


def tamper(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "driftd.db")) as raw:
        for verb in ("update", "delete"):
            raw.execute(f"DROP TRIGGER IF EXISTS journal_no_{verb}")
        raw.execute(statement)
        raw.commit()


def proven(driftd, home: Path, *more: object):
    return driftd(
        "journal", "verify", "--file", home / "export", "--checkpoint", home / "cp", "--key", home / "key.pub", *more
    )


@pytest.fixture
def shipped(driftd, home: Path) -> Path:
    """An export and a checkpoint, away from the store."""
    assert driftd("journal", "checkpoint", "-o", home / "cp").status == 0
    assert driftd("journal", "export", "-o", home / "export").status == 0
    return home


# --- the journal's proof ---------------------------------------------------------------------------------------------


def test_an_export_verifies_offline_with_neither_store_nor_configuration(driftd, shipped: Path):
    for name in ("driftd.db", "driftd.yaml"):
        (shipped / name).unlink()
    (shipped / "driftd.yaml").write_text("this is: [no configuration")
    said = proven(driftd, shipped)
    assert said.status == 0, said.err
    assert "9 lines: the chain holds up to line 9" in said.out
    assert "line 9, and all before it, is as it was signed at " in said.out
    values = json.loads(proven(driftd, shipped, "--json").out)
    assert (values["ok"], values["good"], values["lines"], values["against"]) == (True, 9, 9, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:5], lines[5].replace(b"lunch", b"dinner"), *lines[6:]], "broken at line 5: "),
        (lambda lines: lines[:-2], "it was cut: it ends at line 7, and line 9 was signed"),
        (lambda lines: [*lines[:-1], lines[-1][:-7]], "line 9 is not a journal line as driftd writes it, or is cut"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "line 3 is missing: line 4 stands in its place"),
        (lambda lines: [lines[0].replace(b'"store":"', b'"store":"00')[:-1] + b"\n", *lines[1:]], "of another store"),
    ],
)
def test_what_is_wrong_with_an_export_is_said(driftd, shipped: Path, change, said: str):
    lines = (shipped / "export").read_bytes().splitlines(keepends=True)
    (shipped / "export").write_bytes(b"".join(change(lines)))
    found = proven(driftd, shipped)
    assert found.status == 1
    assert said in found.out


def test_a_journal_that_was_written_anew_is_not_what_was_signed(driftd, shipped: Path):
    (shipped / "driftd.db").unlink()
    for number in range(12):
        assert driftd("pause", "--reason", f"other {number}").status == 0
    assert driftd("journal", "export", "-o", shipped / "forged").status == 0
    header, *rest = (shipped / "forged").read_bytes().splitlines(keepends=True)
    true_header = (shipped / "export").read_bytes().splitlines(keepends=True)[0]
    assert header != true_header
    (shipped / "export").write_bytes(b"".join([true_header, *rest]))
    found = proven(driftd, shipped)
    assert found.status == 1
    assert "line 9 is not the one that was signed: the journal was rewritten" in found.out


def test_a_checkpoint_counts_by_its_signature_alone(driftd, shipped: Path):
    assert driftd("manifest", "keygen", "other").status == 0
    assert "--key" in driftd("journal", "verify", "--file", "export", "--checkpoint", "cp").err
    words = ("journal", "verify", "--file", "export", "--checkpoint", "cp", "--key")
    found = driftd(*words, "other.pub")
    assert (found.status, "signed by none of the keys" in found.out) == (1, True)
    envelope = json.loads((shipped / "cp").read_bytes())
    for change in ({"payload": envelope["payload"][:-8] + "AAAAAAA="}, {"signatures": []}, {"more": 1}):
        (shipped / "cp").write_text(json.dumps(envelope | change, sort_keys=True, indent=2) + "\n")
        assert driftd(*words, "key.pub").status in {1, 2}
    forged = json.loads(base64.b64decode(envelope["payload"]))
    forged["predicate"]["epoch"] += 1
    text = json.dumps(forged, sort_keys=True, separators=(",", ":")).encode()
    envelope["payload"] = base64.b64encode(text).decode()
    (shipped / "cp").write_text(json.dumps(envelope, sort_keys=True, indent=2) + "\n")
    found = driftd(*words, "key.pub")
    assert (found.status, "the checkpoint's signature is wrong" in found.out) == (1, True)
    (shipped / "cp").write_text("no")
    assert driftd(*words, "key.pub").status == 2


def test_a_strangers_program_and_securesystemslib_say_the_same(driftd, shipped: Path):
    """The chain by the program in the docs, the signature by a library that is not driftd's."""
    source = DOCUMENT.read_text().partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", source, shipped / "export"], capture_output=True, text=True, check=True, timeout=60
    )
    _, number, head = re.fullmatch(r"(verified up to line) (\d+) ([0-9a-f]{64})\n", done.stdout).groups()
    envelope = Envelope.from_dict(json.loads((shipped / "cp").read_bytes()))
    pem = (shipped / "key.pub").read_text()
    (keyid,) = envelope.signatures
    key = SSlibKey(keyid, "ed25519", "ed25519", {"public": _raw(pem)})
    envelope.verify([key], 1)
    payload = json_format.Parse(envelope.payload, StatementPb())
    Statement.copy_from_pb(payload).validate()
    assert payload.subject[0].name == f"journal line {number}"
    assert payload.subject[0].digest["sha256"] == head
    predicate = json.loads(envelope.payload)["predicate"]
    assert (predicate["seq"], predicate["hash"]) == (int(number), head)
    header = json.loads((shipped / "export").read_bytes().splitlines()[0])
    assert predicate["store"] == header["store"]
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)


def _raw(pem: str) -> str:
    """The 32 bytes of an Ed25519 key: the end of its DER."""
    done = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.encode(), capture_output=True, check=True
    )
    return done.stdout[-32:].hex()


def test_a_part_of_the_journal_is_exported_and_held_against_a_later_checkpoint(driftd, shipped: Path):
    assert driftd("journal", "export", "--since", 6, "-o", shipped / "export").status == 0
    found = proven(driftd, shipped)
    assert found.status == 0
    assert "3 lines: the chain holds up to line 9" in found.out
    assert driftd("journal", "export", "--since", 77).status == 2


def test_an_export_goes_to_standard_output_too(shipped: Path):
    words = [sys.executable, "-m", "driftd", "journal", "export"]
    done = subprocess.run(words, cwd=shipped, capture_output=True, check=True, timeout=60)
    assert done.stdout == (shipped / "export").read_bytes()


# --- a broken chain --------------------------------------------------------------------------------------------------


def test_a_break_is_accepted_by_a_person_and_named_ever_after(driftd, home: Path):
    assert driftd("journal", "accept-break", "--reason", "x").status == 2
    tamper(home, "UPDATE journal SET subject = 'x' WHERE seq = 3")
    assert driftd("journal", "verify").status == 1
    refused = driftd("journal", "checkpoint")
    assert refused.status == 2
    assert "the journal is broken at line 3" in refused.err
    said = driftd("journal", "accept-break", "--reason", "the disk was bad")
    assert said.status == 0, said.err
    verified = driftd("journal", "verify")
    assert verified.status == 0
    assert "10 lines verify" in verified.out
    assert re.search(r"a break at line 3 \(.*\) was accepted by \S+ in line 10: the disk was bad", verified.out)
    assert driftd("journal", "export", "-o", home / "export").status == 0
    assert "the disk was bad" in driftd("journal", "verify", "--file", home / "export").out
    claim = json.loads((home / "driftd.db.checkpoint.json").read_bytes())
    assert claim["signatures"], "and signed for at once"


def test_what_was_verified_before_and_is_gone_is_a_break_though_no_daemon_runs(driftd, home: Path):
    store = open_store(f"sqlite:///{home}/driftd.db")
    with store.write() as tx:
        last = tx.last_line()
        tx.put_chain(ChainState(last.seq, last.hash))
    store.close()
    assert driftd("journal", "verify").status == 0
    tamper(home, "DELETE FROM journal WHERE seq > 6")
    said = driftd("journal", "verify")
    assert said.status == 1
    assert "line 9 was verified before, and it ends at line 6" in said.out
    report = driftd("report", "--since", "1h")
    assert report.status == 1
    assert "line 9 was verified before, and it ends at line 6" in report.out
    accepted = driftd("journal", "accept-break", "--reason", "we cut it")
    assert accepted.status == 0, accepted.err
    assert driftd("journal", "verify").status == 0


def test_status_says_first_what_stops_everything(driftd, home: Path):
    store = open_store(f"sqlite:///{home / 'driftd.db'}")
    with store.write() as tx:
        tx.put_chain(ChainState(broken=3, why="line 3 is missing"))
    store.close()
    said = driftd("status")
    assert said.status == 0
    first, second, *_ = said.out.splitlines()
    assert first.startswith("NOTHING IS CHANGED: the journal is broken from line 3 on (line 3 is missing)")
    assert "driftd journal accept-break --reason …" in second
    (stopped,) = json.loads(driftd("status", "--json").out)["stopped"]
    assert stopped["code"] == "journal-broken"


# --- the store's care ------------------------------------------------------------------------------------------------


def test_check_backup_restore_accept(driftd, home: Path):
    assert driftd("store", "check").status == 0
    made = driftd("store", "backup", "-o", home / "backup.db")
    assert made.status == 0
    assert "the journal's 9 lines verify" in made.out
    assert driftd("resume").status == 0
    assert json.loads(driftd("store", "check", "--json").out)["journal"]["lines"] == 10
    restored = driftd("store", "restore", home / "backup.db")
    assert restored.status == 0, restored.err
    assert "what was there before is kept: " in restored.out
    assert "driftd store accept" in restored.out
    status = driftd("status").out
    assert "NOTHING IS CHANGED: this store may not know what was done (it was restored on" in status
    assert driftd("journal", "checkpoint").status == 2
    accepted = driftd("store", "accept", "--reason", "I looked")
    assert accepted.status == 0
    assert "settled: it was restored on" in accepted.out
    assert "NOTHING IS CHANGED" not in driftd("status").out
    assert driftd("store", "accept", "--reason", "again").status == 2
    assert "I looked" in driftd("journal", "show").out


def test_what_is_wrong_is_one_sentence_and_an_exit_status(driftd, home: Path):
    tamper(home, "DELETE FROM journal WHERE seq = 5")
    found = driftd("store", "check")
    assert found.status == 1
    assert "the journal is broken at line 5: line 5 is missing" in found.out
    assert driftd("store", "restore", home / "nothing").status == 3
    assert driftd("store", "backup", "-o", home / "driftd.db").status == 2
    assert driftd("store", "upgrade").out.startswith("the store is up to date (schema 00")


def test_pause_hard_is_told(driftd, home: Path):
    assert "undoing too" in driftd("pause", "--hard", "--reason", "fire").out
    assert "PAUSED everywhere, undoing too, by" in driftd("status").out
    assert json.loads(driftd("status", "--json").out)["paused"][0]["hard"] is True
    line = driftd("journal", "show", "--json").out.splitlines()[-1]
    shown = json.loads(line)
    digest = shown.pop("hash")
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert (shown["body"]["hard"], shown["epoch"], shown["schema"]) == (True, 0, 2)


@pytest.mark.machine
@pytest.mark.parametrize("words", [("journal", "export"), ("journal", "checkpoint"), ("store", "backup")], ids=str)
def test_on_a_full_disk_nothing_half_written_takes_the_place_of_what_was_there(driftd, home: Path, words):
    small = home / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "driftd-test", small], check=True)
    try:
        (small / "file").write_text("yesterday's")
        with (small / "ballast").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)
        said = driftd(*words, "-o", small / "file")
        assert said.status in {2, 3}, said.out
        assert "no space" in said.err.lower() or "full" in said.err
        assert (small / "file").read_text() == "yesterday's"
        assert sorted(file.name for file in small.iterdir()) == ["ballast", "file"]
    finally:
        subprocess.run(["umount", small], check=True)
