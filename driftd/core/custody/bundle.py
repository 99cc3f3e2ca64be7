"""A bundle: the documents that evidence consists of, and the index over them (docs/evidence.schema.json). Pure.

Everything that an instance said is a value in JSON or the content of a member that has a name of our making, so that no
name, however made, is ever a path on the machine that keeps or unpacks it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftd.core.custody.ledger import Kept
from driftd.core.custody.terms import Held, Member, Root, Terms
from driftd.core.custody.wanted import NOTHING, PROGRAM, Process, Taken
from driftd.core.facts import Instance, Session
from driftd.core.findings import Finding
from driftd.core.looks import Look
from driftd.core.memory import FindingRow, InstanceRow, JournalLine, SessionRow

SCHEMA = "driftd.evidence/1"
INDEX = "index.json"
ROWS_LIMIT = 10_000  # findings of one document, and sessions; how many more there were is said
LINES_LIMIT = 1000
_SUFFIX = {PROGRAM: "bin"}
NO_ROOT = Root()


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why and by whom a bundle is taken, of whom, and what it is called."""

    id: str
    instance: Instance
    at: datetime
    because: str
    by: str
    terms: Terms
    generator: str
    replacement: str = ""

    @property
    def until(self) -> datetime:
        """How long it is kept."""
        return self.at + self.terms.keep


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look brought. ``reached``: the instance could be seen. ``left_out`` counts files beyond what one bundle
    takes; ``unlisted`` says why not all processes are there. ``root`` is the copy of the root volume.
    """

    look: Look
    reached: bool
    files: Sequence[Taken] = ()
    left_out: int = 0
    processes: Sequence[Process] = ()
    unlisted: str = ""
    root: Root = NO_ROOT


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the store knows: the row, findings that are open, sessions, and lines of the journal."""

    row: InstanceRow | None = None
    findings: Sequence[FindingRow] = ()
    sessions: Sequence[SessionRow] = ()
    lines: Sequence[JournalLine] = ()


def compose(occasion: Occasion, seen: Seen, known: Remembered) -> list[Member]:
    """The members, the index first. Of files whose content the bundle has no room for only the digests are kept."""
    documents = [
        _document("look.json", _look(seen)),
        _document("store.json", _store(known)),
        _document("processes.json", _processes(seen)),
    ]
    room = occasion.terms.max_bytes - sum(len(one.data) for one in documents)
    files: list[dict[str, Any]] = []
    contents: list[Member] = []
    for one in seen.files:
        listed = _file(one)
        if one.kind != NOTHING and len(one.data) > room:
            listed |= {"content": NOTHING, "why": "the bundle has no room for it (evidence.max_bytes)"}
        elif one.kind != NOTHING:
            member = Member(f"files/{len(contents) + 1:04}.{_SUFFIX.get(one.kind, 'txt')}", one.data)
            contents.append(member)
            room -= len(one.data)
            listed["member"] = member.name
        files.append(listed)
    members = [*documents, *contents]
    index = _index(occasion, seen, files) | {
        "members": [{"name": one.name, "size": len(one.data), "sha256": _digest(one.data)} for one in members],
    }
    return [_document(INDEX, index), *members]


def kept(occasion: Occasion, seen: Seen, known: Remembered, members: Sequence[Member], held: Held) -> Kept:
    """The ledger's line."""
    instance = occasion.instance
    return Kept(
        id=occasion.id,
        instance_id=instance.id,
        group=instance.group,
        slot=instance.slot,
        image=instance.image,
        at=occasion.at,
        until=occasion.until,
        size=held.size,
        sha256=held.sha256,
        reached=seen.reached,
        findings=len(seen.look.judgement.findings) if seen.reached else len(known.findings),
        sessions=len(seen.look.others) if seen.reached else len([one for one in known.sessions if not one.own]),
        files=len(seen.files),
        contents=sum(1 for one in members if one.name.startswith("files/")),
        processes=len(seen.processes),
        because=occasion.because,
        by=occasion.by,
        root=seen.root.id,
    )


# --- documents -------------------------------------------------------------------------------------------------------


def _document(name: str, value: object) -> Member:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True, default=_plain)
    return Member(name, text.encode("ascii") + b"\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _named(name: str, raw: bytes) -> dict[str, str]:
    r"""A name as text; where it is not UTF-8 with ``\xHH`` in it, and as base64 beside that."""
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: raw.decode("utf-8", "backslashreplace"), f"{name}_bytes": base64.b64encode(raw).decode("ascii")}


def _index(occasion: Occasion, seen: Seen, files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    instance, look = occasion.instance, seen.look
    return {
        "schema": SCHEMA,
        "id": occasion.id,
        "taken_at": occasion.at,
        "until": occasion.until,
        "because": occasion.because,
        "by": occasion.by,
        "replacement": occasion.replacement,
        "generator": f"driftd {occasion.generator}",
        "instance": {
            "id": instance.id,
            "group": instance.group,
            "slot": instance.slot,
            "image": instance.image,
            "address": instance.address,
            "state": instance.state.value,
            "launched_at": instance.launched_at,
        },
        "reached": seen.reached,
        "verdict": look.judgement.verdict.value,
        "reason": look.judgement.reason,
        "root_copy": {"id": seen.root.id, **({"why": seen.root.why} if seen.root.why else {})},
        "files": list(files),
        "files_left_out": seen.left_out,
    }


def _file(one: Taken) -> dict[str, Any]:
    want = one.want
    return {
        **_named("path", want.path),
        "change": want.change.value,
        "mode": f"{want.mode:04o}",
        "uid": want.uid,
        "gid": want.gid,
        "size": want.size,
        "sha256": want.sha256.hex(),
        "content": one.kind,
        **({"why": one.why} if one.kind == NOTHING else {}),
    }


def _look(seen: Seen) -> dict[str, Any]:
    look, judgement = seen.look, seen.look.judgement
    return {
        "reached": seen.reached,
        "looked_at": look.at,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "root": look.root.hex(),
        "boot_id": look.boot_id,
        **_some("findings", [_finding(one) for one in judgement.findings[:ROWS_LIMIT]], len(judgement.findings)),
        **_some("explained", [_finding(one) for one in judgement.explained[:ROWS_LIMIT]], len(judgement.explained)),
        **_some("sessions", [_session(one) for one in look.others[:ROWS_LIMIT]], len(look.others)),
        "own_sessions": [_session(one) for one in look.own[:ROWS_LIMIT]],
    }


def _store(known: Remembered) -> dict[str, Any]:
    row = known.row
    remembered = None
    if row is not None:
        remembered = {
            "verdict": row.verdict.value,
            "reason": row.reason,
            "root": row.root,
            "verdict_since": row.verdict_since,
            "looked_at": row.looked_at,
            "first_seen": row.first_seen,
            "taint": row.taint,
            "taint_since": row.taint_since,
            "boot_id": row.boot_id,
        }
    findings = [
        _finding(one.finding) | {"id": one.id, "first_seen": one.first_seen, "last_seen": one.last_seen}
        for one in known.findings[:ROWS_LIMIT]
    ]
    sessions = [
        _session(one.session) | {"own": one.own, "first_seen": one.first_seen} for one in known.sessions[-ROWS_LIMIT:]
    ]
    lines = [
        {"seq": one.seq, "at": one.at, "kind": one.kind, "body": dict(one.body), "hash": one.hash}
        for one in known.lines[-LINES_LIMIT:]
    ]
    return {
        "instance": remembered,
        **_some("findings", findings, len(known.findings)),
        **_some("sessions", sessions, len(known.sessions)),
        **_some("journal", lines, len(known.lines)),
    }


def _some(name: str, rows: Sequence[object], of: int) -> dict[str, Any]:
    return {name: rows, f"{name}_left_out": of - len(rows)}


def _processes(seen: Seen) -> dict[str, Any]:
    return {"processes": [_process(one) for one in seen.processes], "incomplete": seen.unlisted}


def _process(one: Process) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "above": one.above,
        "uid": one.user,
        "started": one.started,
        **_named("name", one.name),
        **_named("program", one.program),
        "command": one.command,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "kind": one.kind,
        **_named("subject", one.subject),
        "change": one.change.value,
        "severity": one.severity.value,
        "action": one.action.value,
        "signature": one.signature,
        "rule": one.rule,
        "because": one.because,
        "expected": _texts(one.expected.items()),
        "actual": _texts(one.actual.items()),
        "accepted": one.suppressed_by,
    }


def _texts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values may hold bytes that were no text, which JSON has no place for."""
    return {name: value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name, value in pairs}


def _session(one: Session) -> dict[str, Any]:
    names = ("door", "user", "source", "port", "key", "key_id", "tty", "kind", "evidence", "confidence", "live")
    return {name: getattr(one, name) for name in names} | {"started_at": one.started_at, "ended_at": one.ended_at}
