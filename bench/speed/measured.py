"""The measurements, part by part. Each part gives series (what ran, round by round) and values (lines of the table).

In every run of a part that looks at contents a change is planted, and whoever does not find it ends the bench.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.speed import ours, peers, place, planted, spending, table
from bench.speed.glanced import Kept
from bench.speed.overssh import afar
from bench.speed.peers import Bed
from bench.speed.planted import Planted
from bench.speed.spending import Series, Spent, interleaved
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.glance.ages import rehash
from driftd.core.glance.talk import REHASH_EVERY
from driftd.core.manifest import Manifest
from driftd.edges.recollections import RecollectionDirectory
from driftd.probe import wire

Say = Callable[[str], None]
KB, MS, MIB = 1000, 1000, 1024
FACTS = (b"facts",)


@dataclass
class Found:
    """What a run found. ``known`` is the tree as it was before anything was planted."""

    bed: Bed
    rounds: int
    say: Say
    known: Manifest
    clean: Fingerprint
    series: dict[str, dict[str, Series]] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    growth: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    profile: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def begun(cls, bed: Bed, rounds: int, say: Say) -> Found:
        """After one look at the tree as it is."""
        ours.look(bed)
        seen = ours.read(ours.answer(bed))
        if seen.unreadable or seen.coverage.reasons:
            say(f"not everything of the tree was seen: {dict(seen.coverage.reasons)}")
        return cls(bed, rounds, say, ours.baked(seen), seen)

    def run(self, name: str, sides: dict[str, Callable[[], Spent]], rounds: int) -> dict[str, Series]:
        """The sides in turn; kept under ``name``."""
        self.say(f"{name}:")
        # One round over the whole tree warms the cache for all that follow.
        self.series[name] = interleaved(sides, rounds, lambda line: self.say(f"  {line}"), warm=bool(self.series))
        return self.series[name]

    def put(self, key: str, found: list[float] | float | None, note: str = "", part: str = "") -> None:
        """The value of one line."""
        self.values[key] = table.value(found, note, part)


def checked(work: Callable[[], Spent], saw: Callable[[], bool], who: str) -> Callable[[], Spent]:
    """``work``, after each of whose runs what was planted must have been seen."""

    def once() -> Spent:
        spent = work()
        if not saw():
            raise SystemExit(f"{who} did not find the change that was planted")
        return spent

    return once


def saw(said: bytes, plant: Planted) -> bool:
    """Whether the changed file's new digest is in a look's answer, without reading all of it as the daemon does."""
    frames = wire.Decoder().feed(said)
    name = plant.changed.rpartition(b"/")[2]
    return any(
        name in block and plant.digest in block
        for frame in frames
        if frame.tag in (wire.TREE, wire.PLAIN)
        for block in (wire.blocks if frame.tag == wire.TREE else wire.plain_blocks)(frame.payload)
    )


def full(found: Found) -> None:
    """A full look beside those who read every file, too."""
    bed = found.bed
    aide, openssl, limit = peers.Aide(bed), peers.Openssl(bed), peers.Limit(bed)
    before = ours.total(found.clean)
    limit.sha256()
    if limit.said() != before:
        raise SystemExit(f"driftd and C have not hashed the same: {before} and {limit.said()}")
    with planted.three(bed.root) as plant:
        look = checked(lambda: ours.look(bed), lambda: saw(ours.answer(bed), plant), "driftd")
        moved = lambda: limit.said()[3] != before[3]  # noqa: E731  # the sum over all digests
        sides = {
            "driftd": look,
            "aide --init": checked(aide.init, lambda: aide.saw(plant), "aide"),
            "C, 1 process": checked(limit.sha256, moved, "C"),
            "C, 2 processes": checked(lambda: limit.sha256(2), moved, "C"),
            "find | xargs -P2 openssl": checked(openssl.run, lambda: openssl.saw(plant), "openssl"),
        }
        runs = found.run("full look", sides, found.rounds)
        answered = len(ours.answer(bed))
        beside = {
            "driftd": look,
            "mtree -K sha256": checked(
                lambda: peers.mtree(bed), lambda: peers.text_saw(bed, "mtree.out", plant), "mtree"
            ),
            "bsdtar --format=mtree": checked(
                lambda: peers.bsdtar(bed), lambda: peers.text_saw(bed, "bsdtar.out", plant), "bsdtar"
            ),
        }
        found.run("full look, others", beside, max(1, found.rounds // 2))
    driftd, init = runs["driftd"], runs["aide --init"]
    found.put("init-cpu", driftd.per(init, "cpu"))
    found.put("init-wall", driftd.per(init, "wall"))
    found.put("limit-cpu", runs["C, 1 process"].per(driftd, "cpu"))
    found.put("openssl-wall", driftd.per(runs["find | xargs -P2 openssl"], "wall"))
    found.put("openssl-cpu", driftd.per(runs["find | xargs -P2 openssl"], "cpu"))
    found.put("entry-bytes", answered / len(found.clean.entries), "the whole answer, by all entries")
    found.put("memory", [one / MIB for one in driftd.values("rss")])


def check(found: Found) -> None:
    """A full look and its comparison beside ``aide --check``; both have to name what was planted, and nothing else."""
    bed = found.bed
    aide, daemon = peers.Aide(bed), ours.Daemon(bed, found.known)
    aide.record()
    shares: list[float] = []
    with planted.three(bed.root) as plant:

        def ours_found() -> bool:
            shares.append(daemon.cpu)
            return {one.subject for one in daemon.found} == plant.paths

        sides = {
            "driftd": checked(daemon.look, ours_found, "driftd"),
            "aide --check": checked(aide.check, lambda: aide.found() == plant.paths, "aide"),
        }
        runs = found.run("full look and compare", sides, found.rounds)
    note = f"{statistics.median(shares[-found.rounds :]):.2f} s of driftd's CPU are the daemon's"
    found.put("check-cpu", runs["driftd"].per(runs["aide --check"], "cpu"), note)
    found.put("check-wall", runs["driftd"].per(runs["aide --check"], "wall"))


def stat(found: Found) -> None:
    """The stat stage beside a C program that stats the same names. What is planted moves its root."""
    bed, limit = found.bed, peers.Limit(found.bed)

    def said() -> bytes:
        return ours.stat_root((bed.work / "stats.out").read_bytes())

    ours.stats(bed)
    before = said()
    with planted.three(bed.root):
        sides = {
            "driftd": checked(lambda: ours.stats(bed), lambda: said() != before, "driftd"),
            "C lstat": limit.lstat,
            "driftd, of nothing": lambda: ours.stats(replace(bed, root=empty(bed)), "nothing.out"),
        }
        runs = found.run("stat stage", sides, 2 * found.rounds + 1)
    began = runs["driftd, of nothing"].median("cpu")
    note = f"{began:.3f} s of its {runs['driftd'].median('cpu'):.3f} s are the program's start"
    found.put("stat-cpu", runs["C lstat"].per(runs["driftd"], "cpu"), note)


def empty(bed: Bed) -> Path:
    """A directory with nothing in it: a look at it is what a look begins with."""
    made = bed.work / "empty"
    made.mkdir(exist_ok=True)
    return made


def beside(found: Found) -> None:
    """What facts and the rolling rehash cost beside the tree."""
    bed = found.bed
    sides = {"tree": lambda: ours.look(bed), "tree and facts": lambda: ours.look(bed, FACTS)}
    runs = found.run("facts", sides, found.rounds)
    pairs = zip(runs["tree"].values("cpu"), runs["tree and facts"].values("cpu"), strict=True)
    found.put("facts-cpu", [more - less for less, more in pairs])
    with tempfile.TemporaryDirectory() as folder:
        ages = rehash(timedelta(hours=1), timedelta(hours=24))
        kept = Kept(bed.root, found.known.tree, RecollectionDirectory(Path(folder), 1 << 30), ages)
        kept.look(Extent.WHOLE)
        spent, read = [], 0
        for _ in range(found.rounds):
            alone = kept.look(Extent.SAME)
            kept.later(REHASH_EVERY)
            due = kept.look(Extent.SAME)
            read = due.seen.coverage.bytes_hashed
            spent.append(due.host - alone.host)
        kept.end()
    found.put("rehash-cpu", spent, f"{read / 1e6:,.0f} MB, which is what is due after five minutes")


def compare(found: Found) -> None:
    """The daemon's part alone, in this process."""
    bed = found.bed
    ours.look(bed)
    said = ours.answer(bed)
    ours.stats(bed)
    vector = ours.stat_vector((bed.work / "stats.out").read_bytes())
    found.put("vector-cpu", [ours.compare_vector(vector).cpu * MS for _ in range(found.rounds)])
    ours.compare_resent(found.known, said)  # the manifest is made ready once
    resent = [ours.compare_resent(found.known, said).cpu * MS for _ in range(found.rounds)]
    found.put("resent-cpu", resent, "inflate, read, check the root, compare")


def wired(found: Found) -> None:
    """Looks over SSH at an instance that did not change, and at one that did: bytes and the daemon's CPU."""
    with afar(found.bed.root) as there:
        stage = [there.stat_stage() for _ in range(found.rounds)]
        there.learn(found.known)
        same = [there.again(Extent.SAME) for _ in range(2 * found.rounds + 1)]
        changed = [there.changed(10) for _ in range(found.rounds)]
        there.keeps = False
        anew = [there.again(Extent.SAME) for _ in range(found.rounds + 1)][1:]
    found.series["look over SSH"] = {
        "the daemon's part, kept": Series(tuple(spent for spent, _ in same)),
        "the daemon's part, connecting": Series(tuple(spent for spent, _ in anew)),
    }
    size, cpu = statistics.median(size for _, size in anew), statistics.median(one.cpu for one, _ in anew)
    alone = statistics.median(one.cpu for one, _ in stage)
    whole = f"the stat stage; with facts and their program a look is {size / KB:,.0f} KB"
    found.put("fresh-bytes", [fresh / KB for _, fresh in stage], whole)
    found.put("kept-bytes", [again / KB for _, again in same], "a whole look of the daemon's, facts and all")
    connecting = f"one that connects {cpu * MS:,.0f} ms, {alone * MS:.1f} without facts"
    note = f"a look on a kept connection, facts and all; {connecting}"
    found.put("unchanged-cpu", [one.cpu * MS for one, _ in same], note)
    found.put("changed-bytes", [size / KB for _, size in changed], "on a kept connection")


def swept(bed: Bed, instances: int, real: int, *options: str) -> Any:
    """What ``sweeping.py`` says, in a process of its own with its unit's environment.

    ``facts.out`` has to hold a look with facts.
    """
    unit = (place.ROOT / "systemd/driftd.service").read_text()
    environment = os.environ | dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE))
    words = ["--root", bed.root, "--answer", bed.work / "facts.out", "--instances", instances, "--real", real]
    command = [sys.executable, "-m", "bench.speed.sweeping", *map(str, words), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place.ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"the sweep failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def clean(said: dict[str, Any]) -> dict[str, Any]:
    """What a sweep said, which has to have found all as they were."""
    if said["verdicts"] != ["clean"]:
        raise SystemExit(f"a sweep of unchanged instances found them {said['verdicts']}")
    return said


def sweep(found: Found, instances: int) -> None:
    """A sweep by the daemon's engine; fewer than 1,000 are counted up."""
    ours.look(found.bed, FACTS)
    (found.bed.work / "facts.out").write_bytes(ours.answer(found.bed))
    real = max(1, instances // 200)
    said = clean(swept(found.bed, instances, real))
    found.say(f"sweep: {said}")
    note = f"{real} of {instances} over a real sshd, connections kept; of the others all but SSH, by recorded answers"
    scaled = instances < 1000
    found.put("sweep-cpu", said["cpu"] / instances * 1000, note, f"counted up from {instances}" if scaled else "")
    found.put("sweep-memory", said["rss"] * 1024 / 1e6, "eight looks at once", f"of {instances}" if scaled else "")


def start(found: Found) -> None:
    """``driftd --help``."""
    bed = found.bed
    words = [sys.executable, "-m", "driftd", "--help"]
    sides = {"driftd --help": lambda: spending.run(bed.spent, words, out=bed.work / "help.out")}
    runs = found.run("start-up", sides, 2 * found.rounds + 1)
    found.put("help-wall", runs["driftd --help"].values("wall"))
