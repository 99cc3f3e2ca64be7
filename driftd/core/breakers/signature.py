"""What a drift looks like, in a form that is the same on every instance that drifted the same way.

A signature has parts, joined by "+": one for each cause that asks for a replacement, and one for each way that
somebody came in. Two drifts are alike when they share a part, so that a difference of one instance's own hides nothing.

A part leaves out what is there now: a template that comes out differently on each host, or a file that a wrong
manifest has, is the same drift everywhere. Names of the instance itself, UUIDs, long hexadecimal words and long numbers
in a subject are left out as well. A session has a part for who came (user) from where, by whatever door and how often,
and one for the key or the certificate's id that let them in, from wherever: a playbook run from many hosts is one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from driftd.core.causes import gather
from driftd.core.facts import Session
from driftd.core.findings import Finding, Judgement
from driftd.core.wording import printable
from driftd.probe import wire

MOST = 16  # parts; the worst come first
LONGEST = 120  # characters of a short form
_SESSION = "session"
_PART = re.compile(r"[0-9a-f]{12}")
_OF_ONE_HOST = re.compile(
    rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    rb"|(?=[a-f]*[0-9])[0-9a-f]{12,}"
    rb"|[0-9]{5,}"
)


def of_drift(judgement: Judgement, sessions: Iterable[Session] = (), *, names: Iterable[str] = ()) -> str:
    """The signature of one look's judgement and of the sessions of others; "" when neither asks for a replacement.

    ``names`` are the instance's own (its id, slot, address): what they stand in is alike without them.
    """
    return "+".join(parts_of(judgement.findings, sessions, names=names))


def parts_of(
    findings: Sequence[Finding], sessions: Iterable[Session] = (), *, names: Iterable[str] = ()
) -> Mapping[str, str]:
    """The parts with a short form for people each: ``/etc/x modified``, ``ops from 10.0.0.9``; at most ``MOST``."""
    own = sorted({name.encode("utf-8", "surrogateescape") for name in names if len(name) > 2}, key=len, reverse=True)
    made: dict[str, str] = {}
    asking = [one for one in findings if one.action.replaces and not one.suppressed_by]
    for user, source in sorted({_who(one) for one in asking if one.kind == _SESSION} | {_way(s) for s in sessions}):
        made[_digest(_SESSION, user, source)] = _short(f"{user} from {source or 'an unknown address'}")
    for user, key in sorted({_let_in_by(one) for one in asking if one.kind == _SESSION} | {_key(s) for s in sessions}):
        if key:
            made.setdefault(_digest(_SESSION, "key", key), _short(f"{user} with {key} from anywhere"))
    for cause in gather(one for one in asking if one.kind != _SESSION):
        first = cause.members[0]
        shape = (cause.kind or first.kind, _alike(cause.subject, own), "" if cause.kind else first.change.value)
        made.setdefault(_digest(*shape), _short(cause.sentence))
    return dict(list(made.items())[:MOST])


def parts(signature: str) -> tuple[str, ...]:
    """The parts of a signature as it is kept on a record."""
    return tuple(part for part in signature.split("+") if _PART.fullmatch(part))


def _who(finding: Finding) -> tuple[str, str]:
    said = finding.actual or finding.expected
    return said.get("user", ""), said.get("source", "")


def _way(session: Session) -> tuple[str, str]:
    return session.user, session.source


def _let_in_by(finding: Finding) -> tuple[str, str]:
    said = finding.actual or finding.expected
    return said.get("user", ""), said.get("key_id", "") or said.get("key", "")


def _key(session: Session) -> tuple[str, str]:
    """A certificate is another key each time, and its id says whose it is."""
    return session.user, session.key_id or session.key


def _alike(subject: bytes, own: Sequence[bytes]) -> bytes:
    for name in own:
        subject = subject.replace(name, b"<self>")
    return _OF_ONE_HOST.sub(b"<n>", subject)


def _digest(*shape: str | bytes) -> str:
    packed = [one.encode("utf-8", "surrogateescape") if isinstance(one, str) else one for one in shape]
    return hashlib.sha256(wire.pack([b"driftd.drift/1", *packed])).hexdigest()[:12]


def _short(sentence: str) -> str:
    said = printable(sentence)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
