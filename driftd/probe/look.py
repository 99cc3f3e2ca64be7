"""One look: a request in, frames out, perhaps questions after it. On an instance ``main`` is the entry (bundle.py)."""

import hashlib
import os
import time
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, Optional, Tuple

from driftd.probe import (
    asks,
    crew,
    dialogue,
    facts,
    frames,
    greeting,
    inside,
    processes,
    rows,
    sessions,
    sweep,
    telling,
    tree,
    walk,
    wire,
)
from driftd.probe.deadline import Deadline
from driftd.probe.found import Found
from driftd.probe.links import Links, pieces
from driftd.probe.tally import Tally

NICE = 10
JUMP = 60  # seconds by which clocks may differ without anybody having set one
_CAP_SYS_ADMIN = 21


def answer(request):
    # type: (Dict[bytes, Any]) -> Iterator[bytes]
    """The stream that answers ``request`` (as wire.read_request gives it): whole frames, in order.

    Whatever goes wrong ends it with a FAILED frame that says what; the trailer then never comes.
    """
    encoder = wire.Encoder()
    yield encoder.start()
    try:
        for data in _sections(encoder, request):
            if data:
                yield data
    except Exception as error:  # noqa: BLE001  # the probe's door: whatever it was, it is said and nothing hangs
        yield frames.failed(encoder, error)


def answers(answerer, nonce, questions):
    # type: (asks.Answerer, bytes, List[dialogue.Ask]) -> Iterator[bytes]
    """The second stream: whole frames, in order; a FAILED frame as ``answer`` has it."""
    encoder = wire.Encoder()
    yield encoder.start()
    try:
        yield encoder.message(wire.HELLO, dialogue.greeting(nonce))
        rows, size = [], 0  # type: List[Any], int
        for number, (path, what, argument) in enumerate(questions):
            row = dialogue.row(number, answerer.answer(path, what, argument))
            rows.append(row)
            size += 128 + len(row[-1])
            if size > dialogue.PIECE:
                yield encoder.message(dialogue.ANSWERS, rows)
                rows, size = [], 0
        yield encoder.message(dialogue.ANSWERS, rows)
        yield encoder.finish({})
    except Exception as error:  # noqa: BLE001  # the probe's door, as above
        yield frames.failed(encoder, error)


def _sections(encoder, request):
    # type: (wire.Encoder, Dict[bytes, Any]) -> Iterator[bytes]
    root, limits = request[b"root"], request[b"limits"]
    table = _table(request)
    ahead = _ahead(limits.get(b"now", 0))
    yield encoder.message(wire.HELLO, _hello(request[b"nonce"], table, ahead))
    tally = Tally()
    if not _sees_trusted():
        tally.count("not permitted: extended attributes named trusted.*")
    batches = tree.scan(root, tally, request[b"skip"], limits.get(b"file_bytes", walk.FILE_LIMIT))
    for data in told_tree(encoder, batches, tally):
        yield data
    for data in _what_else(encoder, request, table, tally):
        yield data


def without_tree(encoder, asked):
    # type: (wire.Encoder, Dict[bytes, Any]) -> Iterator[bytes]
    """The frames of a look at everything but the tree. Facts whose digest is ``known`` in ``asked`` are left out."""
    table = _table(asked)
    yield encoder.message(wire.HELLO, _hello(asked[b"nonce"], table, _ahead(asked[b"limits"].get(b"now", 0))))
    for data in _what_else(encoder, asked, table, Tally()):
        yield data


def _table(request):
    # type: (Dict[bytes, Any]) -> Optional[processes.Table]
    if b"sessions" in request[b"sections"] and request[b"root"] != b"/":
        raise wire.WireError("sessions can be seen on the running machine only")
    return processes.Table() if request[b"root"] == b"/" else None


def _what_else(encoder, request, table, tally):
    # type: (wire.Encoder, Dict[bytes, Any], Optional[processes.Table], Tally) -> Iterator[bytes]
    """Facts, sessions, and the end of the stream."""
    sections, limits, known = request[b"sections"], request[b"limits"], request.get(b"known")
    messages = []
    place = inside.Root(request[b"root"])
    try:
        if b"facts" in sections:
            found = found_facts(place, request[b"key"], table is not None)
            digest = hashlib.sha256(wire.pack(found)).digest() if known is not None else b""
            if known is not None:
                yield encoder.message(wire.KNOWN, {b"facts": digest})
            if known != digest:
                messages.append((wire.FACTS, found))
        if b"sessions" in sections and table is not None:
            ahead = _ahead(limits.get(b"now", 0))
            logins = sessions.collect(place, table, os.getpid(), limits.get(b"since", 0), ahead)
            if not sweep.own_kernel():
                tally.count("not compared: the kernel's count of logins, which other servers share")
            messages.append((wire.SESSIONS, logins))
    finally:
        place.close()
    for data in telling.rest(encoder, messages, tally):
        yield data


def told_tree(encoder, batches, tally):
    # type: (wire.Encoder, Iterable[walk.Batch], Tally) -> Iterator[bytes]
    """The frames of a whole tree and of its hard links, which are counted in ``tally``."""
    links = Links()
    for directory, entries in batches:
        if isinstance(entries, rows.Packed):
            links.join(entries.links)
            for payload in entries.payloads:
                yield encoder.frame(wire.TREE, payload)
        else:
            links.add(entries)
            yield encoder.block(wire.encode_block(directory, entries))
    yield encoder.flush()
    groups = links.groups()
    tally.links = sum(map(len, groups))
    for some in pieces(groups):
        yield encoder.message(wire.LINKS, some)


def found_facts(place, key, live):
    # type: (inside.Root, bytes, bool) -> Dict[bytes, List[Any]]
    """The FACTS message of what the collectors find at ``place``."""
    found = Found(key)
    facts.collect(place, found, live)
    return found.message()


def _ahead(now):
    # type: (int) -> float
    """Seconds by which the clock is ahead of the asker's, and makes the boot look later; small ones are nothing.

    A log that was written before the clock was moved would otherwise count as older than the boot, and so as baked.
    """
    ahead = time.time() - now if now else 0.0
    return ahead if ahead > JUMP else 0.0


def _hello(nonce, table, ahead):
    # type: (bytes, Optional[processes.Table], float) -> Dict[bytes, Any]
    hello = greeting.of(nonce, b"" if table is None else b"/")
    if table is not None and table.booted_at is not None:
        hello[b"booted_at"] = max(0, int(table.booted_at - ahead))
    return hello


def _sees_trusted():
    # type: () -> bool
    """Attributes named trusted.* are listed only to CAP_SYS_ADMIN outside user namespaces; others see none at all."""
    try:
        with open("/proc/self/uid_map", "rb") as stream:
            whole = stream.read().split() == [b"0", b"0", b"4294967295"]
        with open("/proc/self/status", "rb") as stream:
            effective = [line.split()[1] for line in stream if line.startswith(b"CapEff:")]
    except (OSError, IndexError):
        return False
    return whole and bool(effective) and bool(int(effective[0], 16) >> _CAP_SYS_ADMIN & 1)


# --- the program -----------------------------------------------------------------------------


def main(stdin, stdout):
    # type: (BinaryIO, BinaryIO) -> None
    """Read one request from ``stdin`` and write the answer to ``stdout``; quiet when nobody listens any more."""
    os.nice(NICE)
    crew.SIZE = crew.cores()
    os.environ.pop("TZ", None)  # whoever logs in may bring a zone along; the logs are in the machine's own
    time.tzset()
    try:
        try:
            request = wire.read_request(stdin)
        except wire.WireError as error:
            encoder = wire.Encoder()
            stdout.write(encoder.start() + frames.failed(encoder, error))
        else:
            with Deadline(request[b"limits"].get(b"seconds", 0)):
                for data in answer(request):
                    stdout.write(data)
                    stdout.flush()
                if dialogue.SECTION in request[b"sections"]:
                    go_on(stdin, stdout, asks.Answerer(request[b"root"]))
                stdout.flush()
        stdout.flush()
    except (OSError, RuntimeError):
        # The connection is gone, and with it everybody who could be told.
        os._exit(1)


def go_on(stdin, stdout, answerer):
    # type: (BinaryIO, BinaryIO, asks.Answerer) -> None
    """Answer what is asked now that the tree was seen; nothing when nobody asks."""
    try:
        nonce, questions = dialogue.read_asks(stdin)
    except wire.WireError as error:
        encoder = wire.Encoder()
        stdout.write(encoder.start() + frames.failed(encoder, error))
        return
    for data in answers(answerer, nonce, questions) if questions else ():
        stdout.write(data)
        stdout.flush()
