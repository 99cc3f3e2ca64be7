"""One look: a request in, frames out, perhaps questions after it. On an instance ``main`` is the entry (bundle.py)."""

import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, Optional, Tuple

from driftd.probe import (
    asks,
    crew,
    dialogue,
    facts,
    inside,
    processes,
    rows,
    sessions,
    stats,
    statwalk,
    sweep,
    tree,
    walk,
    wire,
)
from driftd.probe.found import Found
from driftd.probe.links import Links, pieces
from driftd.probe.tally import Tally

NICE = 10
CHUNK = 512 * 1024  # bytes of rows in one frame
SENTENCE_LIMIT = 400
JUMP = 60  # seconds by which clocks may differ without anybody having set one
LATE = 5  # seconds to say that the deadline has passed
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
        yield failed(encoder, error)


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
        yield failed(encoder, error)


def failed(encoder, error):
    # type: (wire.Encoder, BaseException) -> bytes
    """A FAILED frame: one bounded sentence, without the traceback."""
    text = "%s: %s" % (type(error).__name__, error)
    return encoder.message(wire.FAILED, {b"reason": text.encode("utf-8", "backslashreplace")[:SENTENCE_LIMIT]})


def _sections(encoder, request):
    # type: (wire.Encoder, Dict[bytes, Any]) -> Iterator[bytes]
    root, sections, limits = request[b"root"], request[b"sections"], request[b"limits"]
    if b"sessions" in sections and root != b"/":
        raise wire.WireError("sessions can be seen on the running machine only")
    table = processes.Table() if root == b"/" else None
    ahead = _ahead(limits.get(b"now", 0))
    yield encoder.message(wire.HELLO, _hello(request[b"nonce"], table, ahead))
    for piece in _stats(root, request[b"skip"]) if b"stats" in sections else ():
        yield encoder.message(wire.STATS, piece)
    tally = Tally()
    if not _sees_trusted():
        tally.count("not permitted: extended attributes named trusted.*")
    batches = tree.scan(root, tally, request[b"skip"], limits.get(b"file_bytes", walk.FILE_LIMIT))
    place = None  # type: Optional[inside.Root]
    try:
        for data in told_tree(encoder, batches, tally):
            yield data
        place = inside.Root(root)
        messages = []
        if b"facts" in sections:
            messages.append((wire.FACTS, found_facts(place, request[b"key"], table is not None)))
        if b"sessions" in sections and table is not None:
            logins = sessions.collect(place, table, os.getpid(), limits.get(b"since", 0), ahead)
            if not sweep.own_kernel():
                tally.count("not compared: the kernel's count of logins, which other servers share")
            messages.append((wire.SESSIONS, logins))
    finally:
        if place is not None:
            place.close()
    for data in told_rest(encoder, messages, tally):
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


def told_rest(encoder, messages, tally):
    # type: (wire.Encoder, List[Tuple[bytes, Dict[bytes, List[Any]]]], Tally) -> Iterator[bytes]
    """The frames behind a tree: each message in pieces, the coverage, and the trailer."""
    counts = {b"links": tally.links, b"entries": tally.entries, b"bytes_hashed": tally.bytes_hashed}
    paths = {b"unreadable": tally.unreadable, b"covered": tally.covered, b"mounted": tally.mounted}
    coverage = {key: sorted(found) for key, found in paths.items()}  # type: Dict[bytes, List[Any]]
    for tag, message in messages + [(wire.COVERAGE, coverage)]:
        for key in message:
            counts[key] = counts.get(key, 0) + len(message[key])
        for piece in _pieces(message):
            yield encoder.message(tag, piece)
    yield encoder.message(wire.COVERAGE, {b"reasons": _reasons(tally)})
    yield encoder.finish(counts)


def _stats(root, skip):
    # type: (bytes, List[bytes]) -> Iterator[Dict[bytes, bytes]]
    """The stat tree, taken before anything is read: what changes from here on differs from it the next time."""
    vector = b"".join(sorted(digest for digest, _ in statwalk.directories(root, Tally(), skip)))
    for at in range(0, len(vector), CHUNK):
        yield {b"vector": vector[at : at + CHUNK]}
    yield {b"root": stats.root(vector)}


def _pieces(message):
    # type: (Dict[bytes, Any]) -> Iterator[Dict[bytes, Any]]
    """The rows of a message in several, so that no frame grows too long; at least one."""
    rows, size = {}, 0  # type: Dict[bytes, List[Any]], int
    for key in sorted(message):
        for item in message[key]:
            rows.setdefault(key, []).append(item)
            size += len(wire.pack(item))
            if size > CHUNK:
                yield rows
                rows, size = {}, 0
    yield rows


def _ahead(now):
    # type: (int) -> float
    """Seconds by which the clock is ahead of the asker's, and makes the boot look later; small ones are nothing.

    A log that was written before the clock was moved would otherwise count as older than the boot, and so as baked.
    """
    ahead = time.time() - now if now else 0.0
    return ahead if ahead > JUMP else 0.0


def _hello(nonce, table, ahead):
    # type: (bytes, Optional[processes.Table], float) -> Dict[bytes, Any]
    hello = {
        b"nonce": nonce,
        b"schema": wire.SCHEMA,
        b"clock": int(time.time()),
        b"uid": os.geteuid(),
        b"python": b"%d.%d.%d" % sys.version_info[:3],
    }
    if table is not None:
        hello[b"live"] = 1
    if table is not None and table.booted_at is not None:
        # Instances may be namespaces on one kernel: its id is theirs too, and the start of PID 1 tells them apart.
        hello[b"booted_at"] = max(0, int(table.booted_at - ahead))
        hello[b"boot_id"] = b"%s/%d" % (_boot_id(), table.all[1].ticks)
    return hello


def _boot_id():
    # type: () -> bytes
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as stream:
            return stream.read(64).strip()
    except OSError:
        return b"unknown"


def _reasons(tally):
    # type: (Tally) -> Dict[bytes, int]
    return {reason.encode("utf-8", "backslashreplace"): number for reason, number in tally.reasons.items()}


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
            stdout.write(encoder.start() + failed(encoder, error))
        else:
            _set_deadline(request[b"limits"].get(b"seconds", 0))
            for data in answer(request):
                stdout.write(data)
                stdout.flush()
            if dialogue.SECTION in request[b"sections"]:
                go_on(stdin, stdout, asks.Answerer(request[b"root"]))
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
        stdout.write(encoder.start() + failed(encoder, error))
        return
    for data in answers(answerer, nonce, questions) if questions else ():
        stdout.write(data)
        stdout.flush()


def _set_deadline(seconds):
    # type: (int) -> None
    """End this process after ``seconds`` (0: never), so that nothing lingers when the connection hangs."""
    if seconds <= 0:
        return

    def late(_signal, _frame):
        # type: (int, Any) -> None
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LATE)  # to say so
        raise RuntimeError("looking took longer than %d s" % seconds)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    # From beside the thread that looks: a system call on a dead mount returns for no handler.
    beside = threading.Timer(seconds + LATE, os._exit, (1,))
    beside.daemon = True
    beside.start()
