"""Posting: something is sent to a server, and its answer says whether it was taken; no answer is taken for a yes."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.errors import Refused, Throttled, Unavailable, Unreached
from driftd.core.wording.judging import plain
from driftd.edges.http.exchange import Answer
from driftd.edges.http.server import Server

ANSWER_LIMIT = 16 * 1024
SHOWN = 200
# Of this one thing; everything else that is turned away is a matter of the address, the token or the server.
_THIS_ONE = {400, 413, 415, 422}
_LATER = {408, 425, 500, 502, 504}


def post(server: Server, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send ``body``. Raises Refused (this will not be taken), Throttled or Unreached (surely not taken, try again),
    Unavailable (nobody knows), BadInput (the token cannot be read).
    """
    answer = server.send(path, body, headers, ANSWER_LIMIT)
    if not 200 <= answer.status < 300:
        raise _refusal(server.shown, answer)


def _refusal(shown: str, answer: Answer) -> Unavailable | Refused:
    said = plain(answer.body[:SHOWN].decode("utf-8", "replace").strip())
    sentence = f"{shown} answered {answer.status}" + (f": {said}" if said else "")
    if answer.status in {429, 503}:
        return Throttled(sentence, retry_after_s=seconds(answer.retry_after))
    if answer.status in _LATER or answer.status < 200:
        return Unavailable(sentence)
    if answer.status in _THIS_ONE:
        return Refused(sentence)
    return Unreached(sentence, "see whether the address and the token are right")


def seconds(header: str) -> float:
    """A ``Retry-After`` of seconds; 0 for none, and for a date."""
    return float(header) if header.isascii() and header.isdigit() and len(header) < 7 else 0.0
