"""Evidence: what of a file is asked for and kept, what a bundle is, and the ledger in the journal."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core import globs
from driftd.core.asks import Answer, Ask
from driftd.core.custody import bundle
from driftd.core.custody.bundle import Occasion, Remembered, Seen
from driftd.core.custody.ledger import Kept, fetched, ledger, removed
from driftd.core.custody.terms import Contents, Held, Terms
from driftd.core.custody.wanted import (
    ASKS_LIMIT,
    FILES_LIMIT,
    NOTHING,
    PROCESSES,
    PROGRAM,
    TEXT,
    Want,
    processes,
    taken,
    wanted,
)
from driftd.core.difference import Change, Difference
from driftd.core.facts import Coverage, Instance, Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.looks import Look
from driftd.core.memory import JournalLine
from driftd.core.showable import Show
from driftd.probe import dialogue, wire
from driftd.probe.wire import Entry

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).resolve().parents[2] / "docs"
ELF = b"\x7fELF" + b"\x01" * 200_000
SHOWS = (Show(globs.path("/etc/app/*.conf"), "keyvalue"), Show(globs.path("/root/**")))


def entry(path: bytes, size: int, kind: bytes = b"f", data: bytes = b"") -> Entry:
    return Entry(path, kind, 0o644, 0, 0, size, hashlib.sha256(data).digest(), b"", (0, 0), ())


def looked(*entries: Entry) -> Fingerprint:
    entries = tuple(sorted(entries, key=lambda one: one.path))
    return Fingerprint(entries, (), (), (), Coverage(), b"r" * 32)


def added(path: bytes) -> Difference:
    return Difference("file", path, Change.ADDED, {}, {"sha256": "00"})


def wants(*entries: Entry, terms: Terms = Terms(), passing: frozenset[bytes] = frozenset()) -> dict[bytes, Want]:  # noqa: B008  # frozen
    found, _ = wanted([added(one.path) for one in entries], looked(*entries), SHOWS, terms, passing)
    return {one.path: one for one in found}


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/shadow",
        b"/etc/shadow-",
        b"/home/a/.ssh/config",
        b"/srv/tls.key",
        b"/srv/x.pem",
        b"/root/.ssh/id_ed25519",  # below a glob that shows
    ],
)
def test_what_lies_where_secrets_lie_is_not_even_asked_for(path):
    want = wants(entry(path, 10))[path]
    assert not want.asks
    assert want.why


@pytest.mark.parametrize("path", [b"/etc/app/api_token", b"/srv/my-secrets.txt", b"/usr/bin/passwd"])
def test_of_a_name_that_sounds_of_a_secret_only_a_program_is_had(path):
    data = ELF[:100]
    want = wants(entry(path, 100, data=data))[path]
    assert want.text is None
    (piece,) = want.pieces
    assert taken(want, {piece: Answer(content=data)}).kind == PROGRAM
    refused = taken(want, {piece: Answer("not available", "it is no program")})
    assert (refused.kind, refused.why) == (NOTHING, "its name sounds of a secret; it is no program")


@pytest.mark.parametrize(("contents", "shown"), [("shown", True), ("none", False)])
def test_a_group_may_keep_less(contents, shown):
    terms = Terms(contents=Contents(contents))
    found = wants(entry(b"/etc/app/a.conf", 10), entry(b"/usr/bin/x", 10), terms=terms)
    assert bool(found[b"/etc/app/a.conf"].asks) is shown
    assert not found[b"/usr/bin/x"].asks
    assert "evidence.contents" in found[b"/usr/bin/x"].why


def test_what_a_pack_shows_is_shown_and_never_copied():
    want = wants(entry(b"/etc/app/password.conf", 10))[b"/etc/app/password.conf"]
    assert want.text is not None
    assert not want.pieces
    assert want.form == "keyvalue"


@pytest.mark.parametrize("size", [4, 64 * 1024, 64 * 1024 + 1, 1 << 20])
def test_pieces_cover_a_program_whatever_its_length(size):
    want = wants(entry(b"/usr/bin/x", size))[b"/usr/bin/x"]
    begins = [int(one.argument) for one in want.pieces]
    assert begins == list(range(0, size, dialogue.COPY_PIECE))
    assert (want.text is None) is (size > 64 * 1024)


def test_only_regular_files_within_the_limits():
    large = wants(entry(b"/usr/bin/x", (1 << 20) + 1), entry(b"/dev/x", 0, b"p"), entry(b"/etc/l", 0, b"l"))
    assert [*large] == [b"/usr/bin/x"]
    assert not large[b"/usr/bin/x"].asks
    assert "file_bytes" in large[b"/usr/bin/x"].why
    gone = Difference("file", b"/etc/gone", Change.REMOVED, {"sha256": "00"}, {})
    assert wanted([gone], looked(), SHOWS, Terms()) == ((), 0)


def test_what_matters_comes_first_and_what_is_too_much_is_counted():
    many = [entry(b"/srv/%05d" % number, 10) for number in range(FILES_LIMIT)]
    config, let = entry(b"/etc/cron.d/evil", 10), entry(b"/etc/let", 10)
    every = [*many, config, let]
    found, more = wanted([added(one.path) for one in every], looked(*every), SHOWS, Terms(), frozenset({b"/etc/let"}))
    assert found[0].path == b"/etc/cron.d/evil"
    assert b"/etc/let" not in {one.path for one in found}
    assert more == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3 << 20), max_size=40), st.integers(1 << 20, 8 << 20), st.integers(0, 4 << 20))
def test_what_is_asked_for_is_bounded(sizes, most, one):
    every = [entry(b"/usr/bin/%d" % number, size) for number, size in enumerate(sizes)]
    found = wants(*every, terms=Terms(timedelta(days=1), most, one))
    asked = [want for want in found.values() if want.asks]
    assert sum(want.size for want in asked) <= most
    assert all(want.size <= one for want in asked)
    assert sum(len(want.asks) for want in asked) <= ASKS_LIMIT
    assert all(want.asks or want.why for want in found.values())


# --- what came -------------------------------------------------------------------------------------------------------


def copied(data: bytes, sent: bytes | None = None) -> tuple[Want, dict[Ask, Answer]]:
    want = wants(entry(b"/usr/bin/x", len(data), data=data))[b"/usr/bin/x"]
    sent = data if sent is None else sent
    size = dialogue.COPY_PIECE
    return want, {
        ask: Answer(content=sent[number * size : (number + 1) * size]) for number, ask in enumerate(want.pieces)
    }


def test_a_program_is_kept_as_it_is_and_only_if_it_is_what_the_look_saw():
    assert taken(*copied(ELF)) == taken(*copied(ELF))
    kept = taken(*copied(ELF))
    assert (kept.kind, kept.data) == (PROGRAM, ELF)
    other = taken(*copied(ELF, ELF[:-1] + b"\x02"))
    assert (other.kind, other.why) == (NOTHING, "it changed while it was read")
    script = taken(*copied(b"#!/bin/sh\n" * 20_000))
    assert (script.kind, script.why) == (NOTHING, "it is no program")


def test_an_instance_that_sends_a_private_key_for_a_program_is_not_kept():
    data = ELF + b"-----BEGIN RSA PRIVATE KEY-----\nabc"
    found = taken(*copied(data))
    assert (found.kind, found.why) == (NOTHING, "it holds a private key")


def test_a_text_is_redacted_again_whatever_the_instance_sent():
    text = b"listen = 80\npassword = hunter2hunter2\n"
    want = wants(entry(b"/etc/app/a.conf", len(text), data=text))[b"/etc/app/a.conf"]
    found = taken(want, {want.text: Answer(size=len(text), sha256=want.sha256, content=text)})
    assert found.kind == TEXT
    assert b"hunter2" not in found.data
    assert b"listen = 80" in found.data
    changed = taken(want, {want.text: Answer(size=1, sha256=b"x" * 32, content=b"x")})
    assert (changed.kind, changed.why) == (NOTHING, "it changed while it was read")
    assert taken(want, {}).why == "the instance was not asked for it"
    refused = taken(want, {want.text: Answer("not permitted", "Permission denied")})
    assert (refused.kind, refused.why) == (NOTHING, "Permission denied")


def page(*rows: tuple) -> bytes:
    return wire.pack([list(row) for row in rows])


ROW = (1, 0, 0, 5, b"init", b"/sbin/init", b"/sbin/init --token=hunter2hunter2")


def test_processes_of_all_pages_without_secrets():
    answers = {PROCESSES[0]: Answer(size=2, content=page(ROW)), PROCESSES[1]: Answer(size=2, content=page(ROW))}
    found, why = processes(answers)
    assert (len(found), why) == (2, "")
    assert "hunter2" not in found[0].command
    assert processes({PROCESSES[0]: Answer(size=0)}) == ((), "it is no running system")
    some, why = processes({PROCESSES[0]: Answer(size=9, content=page(ROW))})
    assert (len(some), why) == (1, "the instance was not asked for them")


@given(st.lists(st.tuples(st.integers(-1, 99), st.binary(max_size=300)), max_size=40))
def test_whatever_an_instance_says_of_processes_is_bounded_and_no_error(said):
    answers = {
        PROCESSES[number % 32]: Answer(size=abs(size), content=content) for number, (size, content) in enumerate(said)
    }
    found, why = processes(answers)
    assert isinstance(why, str)
    assert all(one.command.isprintable() or not one.command for one in found)


# --- the bundle ------------------------------------------------------------------------------------------------------

odd = st.one_of(
    st.binary(min_size=1, max_size=40).map(lambda raw: b"/" + raw), st.sampled_from([b"/../../etc/x", b"/a\nb"])
)


def occasion(**more) -> Occasion:
    values = {
        "id": "01KTQ8Z3F5M7N9P1R3T5V7W9XA",
        "instance": Instance("i-\n1", "web", "golden", slot="web/1"),
        "at": NOW,
        "because": "drift",
        "by": "driftd",
        "terms": Terms(max_bytes=1 << 20),
        "generator": "1",
        "replacement": "01KTQ8Z3F5M7N9P1R3T5V7W9XA",
    }
    return Occasion(**values | more)


def look(*findings: Finding) -> Look:
    judgement = Judgement(Verdict.DRIFTED, "2 findings", findings)
    session = Session("ssh", "eve\x1b", "192.0.2.1", NOW)
    return Look(occasion().instance, NOW, 1.0, judgement, others=(session,))


def finding(subject: bytes) -> Finding:
    return Finding(
        "file", subject, Change.ADDED, Severity.HIGH, Action.REPLACE, "0" * 16, "r", "b", {}, {"x": "\udcff"}
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(odd, st.binary(max_size=400_000), st.sampled_from([TEXT, PROGRAM, NOTHING])), max_size=6))
def test_a_bundle_names_its_members_itself_keeps_to_its_size_and_fits_its_schema(files):
    came = [
        taken(Want(path, Change.ADDED, 0o644, 0, 0, len(data), hashlib.sha256(data).digest(), why="none"), {})
        for path, data, _ in files
    ]
    came = [replace(one, kind=kind, data=data) for one, (_, data, kind) in zip(came, files, strict=True)]
    seen = Seen(look(*(finding(path) for path, _, _ in files)), reached=True, files=came, left_out=3)
    members = bundle.compose(occasion(), seen, Remembered())
    index = json.loads(members[0].data)
    jsonschema.Draft202012Validator(json.loads((DOCS / "evidence.schema.json").read_text())).validate(index)
    assert index["members"] == [
        {"name": one.name, "size": len(one.data), "sha256": hashlib.sha256(one.data).hexdigest()} for one in members[1:]
    ]
    assert len({one.name for one in members}) == len(members)
    assert sum(len(one.data) for one in members if one.name.startswith("files/")) <= 1 << 20
    assert bundle.compose(occasion(), seen, Remembered()) == members, "the same bytes"
    for listed, (path, data, kind) in zip(index["files"], files, strict=True):
        assert ("member" in listed) is (listed["content"] != NOTHING)
        assert listed["path"].encode("utf-8") == path or "path_bytes" in listed
        assert listed["content"] in {kind, NOTHING}
        assert math.isclose(listed["size"], len(data))
    kept = bundle.kept(occasion(), seen, Remembered(), members, Held(7, "a" * 64))
    assert kept.files == len(files)
    assert kept.contents == len([one for one in members if one.name.startswith("files/")])


def test_one_that_could_not_be_seen_says_so_and_holds_what_the_store_knows():
    unseen = Look(occasion().instance, NOW, 1.0, Judgement(Verdict.UNKNOWN, "the host did not answer"))
    line = JournalLine(1, NOW, "decision", "i-1", {"why": "x"}, "", "h")
    seen, known = Seen(unseen, reached=False), Remembered(lines=[line])
    members = bundle.compose(occasion(), seen, known)
    index = json.loads(members[0].data)
    assert (index["reached"], index["reason"]) == (False, "the host did not answer")
    store = json.loads(next(one.data for one in members if one.name == "store.json"))
    assert [one["seq"] for one in store["journal"]] == [1]
    kept = bundle.kept(occasion(), seen, known, members, Held(7, "a" * 64))
    assert "could not be seen" in kept.holds


# --- the ledger ------------------------------------------------------------------------------------------------------


def kept(**more) -> Kept:
    seen = Seen(look(), reached=True)
    made = bundle.kept(occasion(), seen, Remembered(), [], Held(7, "a" * 64))
    return replace(made, **more)


def written(*bodies) -> list[JournalLine]:
    return [JournalLine(n, NOW, "observation", "evidence", body, "", "") for n, body in enumerate(bodies, 1)]


def test_what_was_written_is_read_again_and_what_is_removed_is_known_as_that():
    one, two = kept(), kept(id="01KTQ8Z3F5M7N9P1R3T5V7W9XB")
    assert [*ledger(written(one.body(), two.body(), fetched(one.id, "ann"))).values()] == [one, two]
    found = ledger(written(one.body(), two.body(), removed(one.id, "its time is over")))
    assert "its time is over" in found[one.id].gone
    assert not found[two.id].gone
    again = ledger(written(one.body(), removed(one.id, "x"), one.body()))
    assert not again[one.id].gone


@given(st.dictionaries(st.sampled_from([*kept().body(), "removed"]), st.none() | st.integers() | st.text(), max_size=4))
def test_a_line_that_nobody_understands_is_passed_over(odd_values):
    found = ledger(written(kept().body() | odd_values, {"removed": "nobody"}, {}))
    assert all(isinstance(one, Kept) for one in found.values())
