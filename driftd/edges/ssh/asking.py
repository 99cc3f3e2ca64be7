"""What a look over SSH says first, and who understands what comes back: one whole look, or a glance."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.glance.recalled import Recollections, pack_head, read_head
from driftd.core.glance.talk import GlanceTalk, Program, Question, Rehash
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.core.talk import Talk
from driftd.probe import bundle, collector, dialogue, wire

NONCE_SIZE = 16
_HEAD = struct.Struct(">cI")


def _nonce() -> bytes:
    return os.urandom(NONCE_SIZE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One look, as ``Looker.look`` has it; ``seconds`` are what is left of its time, ``nonce`` makes one a question."""

    instance: Instance
    seconds: int
    root: str
    key: DigestKey | None
    ask: AskFor | None
    image: Interned | None
    nonce: Callable[[], bytes] = _nonce

    @property
    def sections(self) -> tuple[bytes, ...]:
        """A tree that is not the machine's own has no sessions."""
        sections: tuple[bytes, ...] = wire.SECTIONS if self.root == "/" else (b"facts",)
        return sections + ((dialogue.SECTION,) if self.ask else ())

    @property
    def since(self) -> int | None:
        """Seconds since 1970: when the instance was launched, if that is known."""
        launched = self.instance.launched_at
        return max(1, int(launched.timestamp())) if launched is not None else None


def _as_it_is(seen: Fingerprint | Unseen) -> Fingerprint | Unseen:
    return seen


@dataclass(frozen=True, slots=True)
class Asking:
    """``opening`` goes out first. ``instead`` gives what a host without Python is sent, and who understands it.

    ``waits``: the far end waits for more until its input ends. ``over`` takes what the look amounts to, and returns it.
    """

    opening: bytes
    talk: Talk | GlanceTalk
    instead: Callable[[], tuple[bytes, Talk]]
    waits: bool = False
    over: Callable[[Fingerprint | Unseen], Fingerprint | Unseen] = _as_it_is


def whole(asked: Asked) -> Asking:
    """Everything is read."""
    request, talk = _request(asked)
    return Asking(bundle.program() + request, talk, lambda: (collector.program() + request, talk))


def _request(asked: Asked) -> tuple[bytes, Talk]:
    nonce = asked.nonce()
    limits = {b"seconds": max(1, asked.seconds), b"now": int(time.time())}
    if asked.since is not None:
        limits[b"since"] = asked.since
    key = asked.key.secret if asked.key else b""
    request = wire.encode_request(nonce, os.fsencode(asked.root), asked.sections, limits=limits, key=key)
    return request, Talk(Reader(nonce, asked.sections, image=asked.image), asked.ask, asked.nonce())


def glance(
    asked: Asked, image: Interned, recollections: Recollections, rehash: Rehash, host_key: str, loaded: int | None
) -> Asking:
    """What the last look left is sent for, and what this one leaves is kept; ``loaded``: see ``GlanceTalk``."""
    instance_id = asked.instance.id
    question = Question(
        nonce=asked.nonce,
        seconds=max(1, asked.seconds),
        now=int(time.time()),
        root=os.fsencode(asked.root),
        since=asked.since,
        key=asked.key.secret if asked.key else b"",
        ask=asked.ask,
        rehash=rehash,
    )
    data = recollections.head(instance_id)
    head = read_head(data) if data else None
    talk = GlanceTalk(
        question,
        _program(),
        image,
        belongs(asked, host_key),
        head,
        lambda: recollections.directories(instance_id),
        loaded,
    )

    def over(seen: Fingerprint | Unseen) -> Fingerprint | Unseen:
        if talk.doubted:
            structlog.get_logger().info("a whole look was needed", instance=instance_id, why=talk.doubted)
        if isinstance(seen, Unseen) or talk.left is None:
            recollections.forget(instance_id)
        elif talk.left.directories is not None or talk.left.head != head:  # else all is there as it is to be
            names = talk.left.packed(lambda: recollections.directories(instance_id))
            recollections.keep(instance_id, pack_head(talk.left.head), names)
        return seen

    def instead() -> tuple[bytes, Talk]:
        request, other = _request(asked)
        return collector.program() + request, other

    return Asking(talk.opening(), talk, instead, waits=True, over=over)


def belongs(asked: Asked, host_key: str) -> bytes:
    """What the head of a recollection is ``of``: instance, host key, account, root, digest key, program. SHA-256."""
    user, key = asked.instance.reach.user, asked.key.id if asked.key else ""
    said = f"{asked.instance.id}\0{host_key}\0{user}\0{asked.root}\0{key}"
    return hashlib.sha256(said.encode() + _program().digest).digest()


@functools.cache
def _program() -> Program:
    return Program(bundle.glance_program(), _piece(bundle.reading_piece()), _piece(bundle.rest_piece()))


def _piece(source: bytes) -> bytes:
    payload = wire.pack({b"piece": source})
    return _HEAD.pack(b"P", len(payload)) + payload
