"""Looks over a real sshd on loopback: what they cost the daemon, and the bytes on the wire."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.speed import spending
from bench.speed.spending import Spent
from bench.visits import server
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.glance.streams import View
from driftd.core.manifest import Manifest
from driftd.core.visits import Announced
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh.command import command
from driftd.edges.ssh.connect import connect
from driftd.edges.ssh.looker import LookStats, SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.probe import bundle, frames, wire


class Afar:
    """A looker over SSH at the tree, and what each look cost."""

    def __init__(self, root: Path, port: int, options: SshOptions) -> None:
        self.instance = Instance("bench", "bench", "bench", reach=Reach("127.0.0.1", port, "root"))
        self.options = replace(options, root=str(root))
        self.looker = SshLooker(self.options, self._measured)
        self.stats = LookStats()
        self.keeps = True
        self._root = root
        self._known: Manifest | None = None
        self._cache = tempfile.TemporaryDirectory(prefix="driftd-bench-looks-")

    def _measured(self, _instance: Instance, stats: LookStats) -> None:
        self.stats = stats

    def look(self) -> tuple[Spent, int]:
        """One full look: the daemon's cost, and the bytes on the wire, both ways and SSH's own included."""
        seen: list[object] = []
        spent = spending.own(lambda: seen.append(self.looker.look(self.instance, deadline_s=600.0)))
        if isinstance(seen[0], Unseen):
            raise SystemExit(f"driftd could not look over SSH: {seen[0].reason}")
        return spent, self.stats.sent + self.stats.received

    def learn(self, known: Manifest) -> None:
        """Look once at what is known, so that the next look knows what the last one left, on the same connection."""
        self._known = known
        kept = RecollectionDirectory(Path(self._cache.name), 1 << 30)
        self.looker.stop()
        self.looker = SshLooker(self.options, self._measured, kept, worth=lambda _: 3600.0 if self.keeps else 0.0)
        self.again(Extent.WHOLE)

    def reached(self, instance: Instance) -> Instance:
        """The tree as this instance, by its own visit."""
        visit = instance.reach.visit
        return replace(self.instance, id=instance.id, reach=replace(self.instance.reach, visit=visit))

    def again(self, extent: Extent) -> tuple[Spent, int]:
        """One look as the daemon has it: its cost, and the bytes on the wire. SystemExit for another extent."""
        seen: list[Fingerprint | Unseen] = []
        image = self._known.tree if self._known else None

        def look() -> None:
            visit = self.looker.standing(self.instance) or Announced(os.urandom(16).hex(), lambda: datetime.now(UTC))
            there = replace(self.instance, reach=replace(self.instance.reach, visit=visit))
            seen.append(self.looker.look(there, deadline_s=600.0, image=image))

        spent = spending.own(look)
        if isinstance(seen[0], Unseen) or seen[0].extent is not extent:
            raise SystemExit(f"driftd looked otherwise than it should: {getattr(seen[0], 'reason', seen[0])!s:.200}")
        return spent, self.stats.sent + self.stats.received

    def changed(self, directories: int) -> tuple[Spent, int]:
        """A look after a file came into so many directories; then they are as they were, and known again."""
        chosen = sorted(path for path in self._root.rglob("*") if path.is_dir() and not path.is_symlink())
        made = [path / "bench-planted" for path in chosen[:: max(1, len(chosen) // directories)][:directories]]
        try:
            for path in made:
                path.write_text("planted\n")
            return self.again(Extent.CHANGES)
        finally:
            for path in made:
                path.unlink(missing_ok=True)
            self.again(Extent.CHANGES)
            time.sleep(2.5)  # what changed just now counts as changed
            self.again(Extent.CHANGES)

    def stat_stage(self) -> tuple[Spent, int]:
        """The stat stage alone, on a connection of its own: the daemon's cost, and the bytes."""
        sizes: list[int] = []

        def ask() -> None:
            with connect(self.instance.reach, self.options, Deadline(600.0)) as connection:
                channel = connection.open_channel()
                channel.exec_command(command("root", self.options))
                view = View(nonce := os.urandom(16))
                hidden = hashlib.sha256(nonce + self._stat_root).digest() if self._stat_root else b""
                asked = {b"nonce": nonce, b"limits": {}, b"schema": wire.SCHEMA, b"root": os.fsencode(self._root)}
                payload = wire.pack(asked | {b"skip": [], b"known": hidden, b"rehash": {}})
                channel.sendall(bundle.glance_program() + frames.HEAD.pack(b"G", len(payload)) + payload)
                while not view.over:
                    view.feed(channel.recv(1 << 18))
                sizes.append(connection.socket.sent + connection.socket.received)
                self._stat_root = view.root

        if not self._stat_root:
            ask()
        return spending.own(ask), sizes[-1]

    _stat_root = b""


@contextlib.contextmanager
def afar(root: Path) -> Iterator[Afar]:
    """With an sshd of one's own, as root."""
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as (port, by_key, _):
        made = Afar(root, port, by_key)
        try:
            yield made
        finally:
            made.looker.stop()
