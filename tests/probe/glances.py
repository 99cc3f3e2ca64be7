"""A look that costs what changed, held with the real program on this machine, as an SSH looker holds it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from driftd.core.asks import Ask
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.glance.recalled import pack_head, read_head
from driftd.core.glance.talk import GlanceTalk, Question, Rehash
from driftd.core.interned import Interned
from driftd.edges.ssh import asking
from driftd.probe import bundle, look


class Unhurried(GlanceTalk):
    """What changed just now counts as it is: these tests take longer than a tick of the clock from step to step."""

    def _limits(self):
        return super()._limits() | {b"settled": 0}


@dataclass
class Looks:
    """Looks at one directory as a tree, each knowing what the last one left; ``sent`` and ``came`` of the last one."""

    root: Path
    image: Interned
    rehash: Rehash = field(default_factory=Rehash)
    of: bytes = b"here"
    head: bytes = b""
    names: bytes = b""
    sent: int = 0
    came: int = 0
    now: int = 1_800_000_000
    hurt: Callable[[bytes], bytes] | None = None
    doubted: str = ""
    patience: float = 60.0

    def look(self, ask: Callable[[Fingerprint], Sequence[Ask]] | None = None) -> Fingerprint | Unseen:
        question = Question(lambda: os.urandom(16), 60, self.now, os.fsencode(self.root), ask=ask, rehash=self.rehash)
        head = read_head(self.head) if self.head else None
        talk = Unhurried(question, asking._program(), self.image, self.of, head, lambda: self.names)
        words = [sys.executable, *bundle.ARGUMENTS]
        self.sent = self.came = 0
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            data = talk.opening()
            while not talk.over:
                if data:
                    self.sent += len(data)
                    child.stdin.write(data)
                    child.stdin.flush()
                if not select.select([child.stdout], [], [], self.patience)[0]:
                    break  # as the deadline of an SSH looker would
                piece = os.read(child.stdout.fileno(), 1 << 20)
                piece = self.hurt(piece) if self.hurt else piece
                if not piece:
                    break
                self.came += len(piece)
                data = talk.feed(piece)
            child.stdin.close()
            child.stdout.read()
        seen = talk.finish()
        self.doubted = talk.doubted
        if talk.left is not None:
            self.head = pack_head(talk.left.head)
            names = talk.left.packed(lambda: self.names)
            self.names = self.names if names is None else names
        return seen


def whole(root: Path) -> Fingerprint:
    """The same tree, all of it, as a whole look sees it."""
    nonce = os.urandom(16)
    asked = {
        b"nonce": nonce,
        b"root": os.fsencode(root),
        b"sections": [b"facts"],
        b"skip": [],
        b"limits": {},
        b"key": b"",
    }
    reader = Reader(nonce, (b"facts",))
    for data in look.answer(asked):
        reader.feed(data)
    seen = reader.finish()
    assert isinstance(seen, Fingerprint), seen
    return seen


def alike(seen: Fingerprint, other: Fingerprint) -> None:
    """Whatever two looks at one tree have to agree about."""
    assert seen.entries == other.entries
    assert seen.root == other.root
    assert (seen.facts, seen.looked) == (other.facts, other.looked)
    assert replace(seen.coverage, bytes_hashed=0) == replace(other.coverage, bytes_hashed=0)
    assert (seen.unreadable, seen.covered, seen.mounted) == (other.unreadable, other.covered, other.mounted)
