"""Looks that cost what changed, without SSH: a probe that stays started, as at the end of a kept connection.

And what it said once, to be answered again as often as is asked: to the daemon's own code, which takes it for an answer
that just came. So that it is one, every question of a look has the same nonce.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.speed import ours
from driftd.core.asks import Ask
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.glance.recalled import Recollections, pack_head, read_head
from driftd.core.glance.talk import GlanceTalk, Rehash
from driftd.core.interned import Interned
from driftd.edges.ssh.asking import Asked, Asking, belongs, glance
from driftd.probe import bundle

_PIECE = 256 * 1024
_HOST = "recorded"
_TICKS = os.sysconf("SC_CLK_TCK")
ASK = Callable[[Fingerprint], Sequence[Ask]] | None


@dataclass(frozen=True)
class Glance:
    """One look: what was seen; seconds of CPU there and here; bytes both ways; and what came, piece by piece."""

    seen: Fingerprint
    host: float
    daemon: float
    size: int
    pieces: tuple[bytes, ...]


class Kept:
    """Looks at ``root``, one after the other, by one probe."""

    def __init__(
        self,
        root: Path,
        image: Interned,
        recollections: Recollections,
        rehash: Rehash = Rehash(),  # noqa: B008  # frozen
    ) -> None:
        self._root, self._image, self._recollections, self._rehash = root, image, recollections, rehash
        self._loaded: int | None = None
        words = [ours.python(), *bundle.ARGUMENTS]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def look(self, extent: Extent) -> Glance:
        """One look. SystemExit where it cost something else."""
        given, taken = self._child.stdin, self._child.stdout
        assert given is not None and taken is not None  # noqa: S101, PT018  # pipes
        there, began, pieces = self._spent(), time.process_time(), []
        question = Asked(Instance("i", "", ""), 600, str(self._root), None, None, self._image, lambda: ours.NONCE)
        asking = glance(question, self._image, self._recollections, self._rehash, _HOST, self._loaded)
        data, size = asking.opening, 0
        while not asking.talk.over:
            if data:
                given.write(data)
                given.flush()
                size += len(data)
            pieces.append(os.read(taken.fileno(), _PIECE))
            data = asking.talk.feed(pieces[-1])
        seen = seen_by(asking, extent)
        self._loaded = asking.talk.loaded if isinstance(asking.talk, GlanceTalk) else None
        here, size = time.process_time() - began, size + sum(map(len, pieces))
        return Glance(seen, self._spent() - there, here, size, tuple(pieces))

    def later(self, seconds: int) -> None:
        """As if the last look had been so much earlier: so much more of the rolling rehash is due."""
        head = read_head(self._recollections.head("i"))
        if head is None:
            raise SystemExit("driftd kept nothing of its last look")
        reached = tuple(one - seconds for one in head.reached)
        self._recollections.keep("i", pack_head(replace(head, reached=reached)), None)

    def _spent(self) -> float:
        """Seconds of CPU of the probe and of the processes that it waited for (proc(5), stat)."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def end(self) -> None:
        """It ends with its input."""
        self._child.communicate()


def seen_by(asking: Asking, extent: Extent) -> Fingerprint:
    """What a look amounts to. SystemExit where it cost something else."""
    seen = asking.over(asking.talk.finish())
    if isinstance(seen, Unseen) or seen.extent is not extent:
        raise SystemExit(f"driftd looked otherwise than it should: {getattr(seen, 'reason', seen)!s:.200}")
    return seen


class Recorded:
    """What an unchanged instance says, for any number of instances."""

    def __init__(self, root: Path, image: Interned, recollections: Recollections) -> None:
        self._root, self._image, self._recollections = root, image, recollections
        kept = Kept(root, image, recollections)
        kept.look(Extent.WHOLE)
        self._pieces = kept.look(Extent.SAME).pieces
        kept.end()
        self._head = read_head(recollections.head("i"))

    def known(self, instance: Instance) -> None:
        """As if it had been looked at before."""
        of = belongs(Asked(instance, 600, str(self._root), None, None, self._image), _HOST)
        self._recollections.keep(instance.id, pack_head(replace(self._head, of=of)), None)

    def look(self, instance: Instance, image: Interned, ask: ASK) -> Fingerprint:
        """The daemon's part of a look, all of it but SSH."""
        question = Asked(instance, 600, str(self._root), None, ask, image, lambda: ours.NONCE)
        asking = glance(question, image, self._recollections, Rehash(), _HOST, 2)
        for piece in self._pieces:
            asking.talk.feed(piece)
        return seen_by(asking, Extent.SAME)
