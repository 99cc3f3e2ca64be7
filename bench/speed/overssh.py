"""Looks over a real sshd on loopback: what they cost the daemon, and the bytes on the wire."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.speed import spending
from bench.speed.spending import Spent
from bench.visits import server
from driftd.core.facts import Instance, Reach, Unseen
from driftd.edges.ssh.looker import LookStats, SshLooker
from driftd.edges.ssh.options import SshOptions


class Afar:
    """A looker over SSH at the tree, and what each look cost."""

    def __init__(self, root: Path, port: int, options: SshOptions) -> None:
        self.instance = Instance("bench", "bench", "bench", reach=Reach("127.0.0.1", port, "root"))
        self.looker = SshLooker(replace(options, root=str(root)), self._measured)
        self.stats = LookStats()

    def _measured(self, _instance: Instance, stats: LookStats) -> None:
        self.stats = stats

    def look(self) -> tuple[Spent, int]:
        """One full look: the daemon's cost, and the bytes on the wire, both ways and SSH's own included."""
        seen: list[object] = []
        spent = spending.own(lambda: seen.append(self.looker.look(self.instance, deadline_s=600.0)))
        if isinstance(seen[0], Unseen):
            raise SystemExit(f"driftd could not look over SSH: {seen[0].reason}")
        return spent, self.stats.sent + self.stats.received


@contextlib.contextmanager
def afar(root: Path) -> Iterator[Afar]:
    """With an sshd of one's own, as root."""
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as (port, by_key, _):
        yield Afar(root, port, by_key)
