"""The journal as a file: a header and the lines, canonical JSON each; read back strictly, held against a checkpoint.

Pure, so that it needs neither store nor configuration: docs/journal.md tells a stranger the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from driftd.core import strictjson
from driftd.core.chain import Accepted, Broken, Walk
from driftd.core.checkpoint import Checkpoint
from driftd.core.errors import BadInput
from driftd.core.journal import GENESIS, OLDEST, canonical, exported, read_instant
from driftd.core.memory import JournalLine

SCHEMA = "driftd.journal/1"
LINE_LIMIT = 16 * 1024 * 1024  # bytes of one line
_HINT = "is this the right file? One is made with: driftd journal export -o FILE"
_FIELDS = {"at", "body", "hash", "kind", "prev", "seq", "subject"}


@dataclass(frozen=True, slots=True)
class Header:
    """Which store's journal, and the line after which it begins: 0 and ``GENESIS``, or where ``--since`` said."""

    store: str
    after: int = 0
    head: str = GENESIS
    epoch: int = 0


def head_line(header: Header) -> bytes:
    """The file's first line."""
    values = {"schema": SCHEMA, "store": header.store}
    return canonical(values | {"after": header.after, "head": header.head, "epoch": header.epoch}) + b"\n"


def body_line(line: JournalLine) -> bytes:
    """One more line of the file."""
    return exported(line).encode() + b"\n"


def read_header(data: bytes) -> Header:
    """Raises BadInput for what is not the first line of an export."""
    try:
        return _header(data)
    except ValueError as error:
        raise BadInput(f"this is not an exported journal: {error}", _HINT) from None


def _header(data: bytes) -> Header:
    value = strictjson.read(data)
    if strictjson.field(value, "schema", str) != SCHEMA:
        raise ValueError("its schema is another")
    header = Header(
        store=strictjson.field(value, "store", str),
        after=strictjson.field(value, "after", int),
        head=strictjson.field(value, "head", str),
        epoch=strictjson.field(value, "epoch", int),
    )
    if head_line(header) != data:
        raise ValueError("its first line is not written the way driftd writes it")
    return header


def read_line(data: bytes) -> JournalLine | None:
    """A line of an export; None for anything that is not, byte for byte, how a line is written."""
    try:
        value = strictjson.read(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    old = "schema" not in value
    if value.keys() != (_FIELDS if old else _FIELDS | {"epoch", "schema"}):
        return None
    at = read_instant(value["at"])
    numbers = [value["seq"], value.get("epoch", 0), value.get("schema", OLDEST)]
    texts = [value[name] for name in ("kind", "subject", "prev", "hash")]
    typed = all(type(one) is int for one in numbers) and all(isinstance(one, str) for one in texts)
    if at is None or not typed or not isinstance(value["body"], dict):
        return None
    kind, subject, prev, digest = texts
    seq, epoch, schema = numbers
    line = JournalLine(seq, at, kind, subject, value["body"], prev, digest, epoch, schema)
    try:
        return line if body_line(line) == data else None
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Proof:
    """What an export amounts to. ``good`` is the last line up to which the chain holds, ``head`` its hash.

    ``against`` is one sentence on what is wrong with it, "" when nothing is: then every line up to the checkpoint's is
    the one that was signed. ``seq`` is where it begins to be wrong. ``accepted`` are breaks that a person accepted.
    """

    good: int
    head: str
    lines: int
    against: str = ""
    seq: int = 0
    accepted: tuple[Accepted, ...] = ()


def prove(header: Header, lines: Iterable[bytes], checkpoint: Checkpoint | None) -> Proof:
    """Walk an export's lines, and hold it against ``checkpoint`` where there is one."""
    walk, count, at_checkpoint = Walk(header.after, header.head, header.epoch), 0, ""
    if checkpoint is not None and checkpoint.seq == header.after:
        at_checkpoint = header.head
    cut: Broken | None = None
    for line in _lines(lines):
        if line is None:
            number = walk.last + 1
            cut = Broken(number, f"line {number} is not a journal line as driftd writes it, or is cut")
            break
        walk.step(line)
        count += 1
        if checkpoint is not None and line.seq == checkpoint.seq:
            at_checkpoint = line.hash
    answer = walk.answer
    accepted = () if isinstance(answer, Broken) else answer.accepted
    broken = answer if isinstance(answer, Broken) else cut
    if broken is not None:
        return Proof(walk.count, walk.head, count, _broken(broken), broken.seq, accepted)
    seq, against = _against(header, walk.count, at_checkpoint, checkpoint)
    return Proof(walk.count, walk.head, count, against, seq, accepted)


def _lines(lines: Iterable[bytes]) -> Iterator[JournalLine | None]:
    for data in lines:
        yield read_line(data)


def _broken(broken: Broken) -> str:
    return f"the journal is broken at line {broken.seq}: {broken.why}"


def _against(header: Header, last: int, digest: str, checkpoint: Checkpoint | None) -> tuple[int, str]:
    if checkpoint is None:
        return 0, ""
    if header.store != checkpoint.store:
        mine, other = header.store[:8], checkpoint.store[:8]
        return header.after + 1, f"this is the journal of another store ({mine}) than the checkpoint's ({other})"
    if checkpoint.seq < header.after:
        said = f"it begins after line {header.after}, and the checkpoint is of line {checkpoint.seq}"
        return header.after, f"{said}: nothing in it can be held against that"
    if last < checkpoint.seq:
        return last + 1, f"it was cut: it ends at line {last}, and line {checkpoint.seq} was signed"
    if digest != checkpoint.hash:
        said = f"line {checkpoint.seq} is not the one that was signed: the journal was rewritten"
        return checkpoint.seq, f"{said}, there or before"
    return 0, ""
