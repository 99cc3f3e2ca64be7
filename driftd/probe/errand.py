"""One question to a process of its own, for a way in where nothing stays open between two (bundle.errand_program).

A tree with sessions (Q), facts (F) or asks about the running machine (A), each by the part of the program that can
answer it.
"""

import os
import time
from typing import Any, BinaryIO, Dict, Iterator

from driftd.probe import asks, crew, dialogue, frames, look, wire
from driftd.probe.deadline import Deadline


def answer(tag, asked):
    # type: (bytes, Any) -> Iterator[bytes]
    """The stream that answers: whole frames, in order. Raises WireError for what is no question."""
    if tag == wire.REQUEST:
        crew.SIZE = crew.cores()
        return look.answer(wire.request(asked))
    if tag == wire.FACTS:
        return _facts(asked)
    if tag == dialogue.ASKS:  # last: ``dialogue`` comes with that part alone
        nonce, questions = dialogue.asked(asked)
        return look.answers(asks.Answerer(b"/"), nonce, questions)
    raise wire.WireError("not a question that a probe knows (%r)" % tag)


def _facts(asked):
    # type: (Dict[bytes, Any]) -> Iterator[bytes]
    encoder = wire.Encoder()
    yield encoder.start()
    for data in look.without_tree(encoder, asked):
        yield data


def told(stdin):
    # type: (BinaryIO) -> Iterator[bytes]
    """The answer to the question on ``stdin``; whatever goes wrong, it ends with a FAILED frame that says what."""
    stream, begun = frames.Stream(), False
    try:
        tag, payload = frames.read_frame(stdin) or (b"", b"de")
        asked = wire.unpack(payload)
        limits = asked.get(b"limits", {}) if isinstance(asked, dict) else {}
        with Deadline(limits.get(b"seconds", 0)):
            for data in answer(tag, asked):
                begun = True
                yield data
    except Exception as error:  # noqa: BLE001  # the probe's door: whatever it was, it is said and nothing hangs
        yield (b"" if begun else stream.start()) + frames.failed(stream, error)


def main(stdin, stdout):
    # type: (BinaryIO, BinaryIO) -> None
    """Read one question from ``stdin`` and write the answer to ``stdout``; quiet when nobody listens any more."""
    os.nice(look.NICE)
    os.environ.pop("TZ", None)  # whoever starts it may bring a zone along; the logs are in the machine's own
    time.tzset()
    try:
        for data in told(stdin):
            stdout.write(data)
            stdout.flush()
    except (OSError, RuntimeError):
        # The connection is gone, and with it everybody who could be told.
        os._exit(1)
