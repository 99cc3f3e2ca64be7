"""What every answer that reads entries ends with: hard links, what was and was not covered, and the trailer."""

from typing import Any, Dict, Iterator, List, Tuple

from driftd.probe import wire
from driftd.probe.tally import Tally

CHUNK = 512 * 1024  # bytes of rows in one frame


def rest(encoder, messages, tally):
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


def _reasons(tally):
    # type: (Tally) -> Dict[bytes, int]
    return {reason.encode("utf-8", "backslashreplace"): number for reason, number in tally.reasons.items()}
