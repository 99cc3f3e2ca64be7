"""A sweep of many unchanged instances, as the daemon's own engine does it, in a process of its own.

    python -m bench.speed.sweeping --root TREE --answer FILE --instances N [--real K]

The store, the queue, the visits, the talk, the judgement and the writing are the daemon's. K instances are looked at
over a real sshd on loopback, by connections that are kept; the others answer what a real probe at the end of one said
of the tree as it is (glanced.py). FILE is a full look, from which the image is made (nonce as in ours.py). The first
pass meets the instances; the second, which confirms what is known, is what is measured. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import functools
import json
import os
import pstats
import re
import tempfile
import threading
import time
from collections.abc import Container
from pathlib import Path

from bench.speed import ours, spending
from bench.speed.glanced import Recorded
from bench.speed.overssh import Afar, afar
from bench.visits import key as make_key
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.interned import Interned
from driftd.core.manifesttext import encode
from driftd.core.ports import AskFor
from driftd.core.visits import Announced
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.store import SqlQueue, open_store
from driftd.flows.sweep import KIND
from driftd.settings import load
from driftd.wiring.engine import start
from driftd.wiring.house import WiredHouse

LEAST = 0.01  # share of a look that is worth a row
FACTS = (b"facts",)
CONFIG = """\
store: sqlite:///driftd.db
manifests: manifests
trust: {{unsigned: look}}
ssh: {{key: client}}
groups:
  bench:
    provider: static
    image: bench
    every: 1d
    hosts: {hosts}
"""


class Mixed:
    """Sees the first few instances over SSH and all the others as they answered once."""

    def __init__(self, recorded: Recorded, real: Container[str], there: Afar | None) -> None:
        self._recorded, self._real, self._there = recorded, real, there
        self._lock = threading.Lock()
        self.looks = 0

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        with self._lock:
            self.looks += 1
        if self._there is not None and instance.id in self._real:
            return self._there.looker.look(
                self._there.reached(instance), deadline_s=deadline_s, key=key, ask=ask, image=image
            )
        assert image is not None  # noqa: S101  # the daemon's audit has one
        return self._recorded.look(instance, image, ask)

    def standing(self, instance: Instance) -> Announced | None:
        """See ``SshLooker.standing``."""
        if self._there is None or instance.id not in self._real:
            return None
        return self._there.looker.standing(self._there.reached(instance))

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """Nobody has to get in."""
        return ""

    def stop(self) -> None:
        """Nothing is to be ended early."""


def peak() -> int:
    """KiB that this process held at most."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def swept(
    root: Path, answer: bytes, instances: int, real: int, watched: cProfile.Profile | None = None
) -> dict[str, object]:
    """Two passes; what the second cost the daemon. ``watched`` sees all of its looks, one at a time."""
    ids = [f"i-{number:04}" for number in range(instances)]
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        home = Path(place)
        (home / "manifests").mkdir()
        make_key(home / "client")
        (home / "manifests" / "bench.manifest").write_bytes(encode(ours.baked(ours.read(answer, FACTS))))
        hosts = json.dumps([{"host": f"{one}.invalid", "id": one} for one in ids])
        lookers = "daemon: {lookers: 1}\n" if watched else ""
        (home / "driftd.yaml").write_text(CONFIG.format(hosts=hosts) + lookers)
        os.environ["XDG_STATE_HOME"] = place
        house = WiredHouse(load(home / "driftd.yaml"), home / "driftd.yaml")
        there = stack.enter_context(afar(root)) if real else None
        known = house.manifests.for_image("bench")
        if there is not None:
            there.learn(known)
        image = known.tree
        recollections = RecollectionDirectory(home / "looks", 1 << 34)
        recorded = Recorded(root, image, recollections)
        for one in ids[real:]:
            recorded.known(Instance(one, "", "", reach=Reach(f"{one}.invalid")))
        looker = Mixed(recorded, ids[:real], there)
        house.__dict__["looker"] = house.__dict__["glancer"] = looker
        Path("/proc/self/clear_refs").write_text("5")  # what making the image took is no part of it (proc(5))
        engine = start(house)
        stack.callback(engine.close)
        if there is not None:
            stack.callback(there.looker.stop)
        sweep = next(beat for beat in engine.beats if beat.name == "sweep")

        def whole(passes: int) -> None:
            sweep.run()
            while engine._sweeper._running:  # noqa: SLF001  # only a bench asks
                sweep.run()
            if looker.looks != passes * instances:
                raise SystemExit(f"{looker.looks} looks in {passes} passes over {instances} instances")

        whole(1)
        with contextlib.closing(open_store(house.store_url)) as store:
            SqlQueue(store).hurry(KIND, house.now())
            if watched is not None:
                sweeper = engine._sweeper  # noqa: SLF001  # only a bench asks
                sweeper.sweep_one = functools.partial(watched.runcall, sweeper.sweep_one)  # type: ignore[method-assign]  # likewise
            spent = spending.own(lambda: whole(2))
            with store.read() as tx:
                verdicts = {str(row.verdict) for row in tx.instances("bench")}
        return {"instances": instances, "real": real, "cpu": spent.cpu, "wall": spent.wall, "rss": peak(),
                "verdicts": sorted(verdicts)}  # fmt: skip


def owners(watched: cProfile.Profile, looks: int) -> list[dict[str, object]]:
    """Whose code the CPU went to: name, calls a look, share of all. C functions count as their own."""
    found: dict[str, list[float]] = {}
    stats = pstats.Stats(watched).stats  # type: ignore[attr-defined]  # typeshed has it not
    for (file, _, function), entry in stats.items():
        one = found.setdefault(_owner(file, function), [0, 0.0])
        one[0] += entry[1]
        one[1] += entry[2]
    whole = sum(seconds for _, seconds in found.values())
    rows = sorted(found.items(), key=lambda item: item[1][1], reverse=True)
    return [
        {"name": name, "calls": round(calls / looks), "share": round(seconds / whole, 4)}
        for name, (calls, seconds) in rows
        if seconds / whole >= LEAST
    ]


def _owner(file: str, function: str) -> str:
    if file in {"~", ""}:
        return "SQLite" if "sqlite3." in function else "Python's own C functions"
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    at = next((at for at, part in enumerate(parts) if part in {"driftd", "bench"}), None)
    return "/".join(parts[at : at + 3]).removesuffix(".py") if at is not None else "Python's library"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--real", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="print whose code a look's CPU goes to instead")
    words = parser.parse_args()
    watched = cProfile.Profile(time.thread_time) if words.profile else None
    said = swept(words.root, words.answer.read_bytes(), words.instances, words.real, watched)
    print(json.dumps(owners(watched, words.instances) if watched else said))


if __name__ == "__main__":
    main()
