"""What `make bench` rests on: all look at the same, a change that is not found ends it, costs are counted whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.speed import growth, measured, ours, peers, place, planted, spending, table
from bench.speed.measured import Found
from bench.speed.peers import Bed
from bench.speed.spending import Spent

pytestmark = pytest.mark.machine  # AIDE and driftd see all of a tree as root only


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """A tree of forty directories, with a hard link, a link, a FIFO, and files above and below a buffer's size."""
    place_of = tmp_path_factory.mktemp("speed")
    root = place_of / "root"
    for number in range(40):
        folder = root / f"d{number % 7}" / f"e{number}"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"%d\n" % number * 200)
        (folder / "empty").touch()
    (root / "large").write_bytes(os.urandom(700_000))
    os.link(root / "large", root / "d1" / "again")
    os.symlink("nowhere", root / "link")
    os.mkfifo(root / "fifo")
    return Bed.made(root, place_of)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_c_and_driftd_have_hashed_the_same(bed: Bed, processes: int) -> None:
    limit = peers.Limit(bed)
    limit.sha256(processes)
    ours.look(bed)
    assert limit.said() == ours.total(ours.read(ours.answer(bed)))
    limit.lstat()
    assert limit.said("lstat")[0] == limit.said()[0] == 1 + 7 + 40 + 80 + 2 + 2


def test_what_is_planted_everybody_finds_and_afterwards_nothing_is_left_of_it(bed: Bed) -> None:
    found = Found.begun(bed, 1, lambda _: None)
    for part in (measured.full, measured.check, measured.stat):
        part(found)
    assert {"init-cpu", "check-wall", "limit-cpu", "openssl-wall", "stat-cpu", "memory"} <= found.values.keys()
    assert all(one["value"] > 0 for one in found.values.values())
    daemon = ours.Daemon(bed, found.known)
    daemon.look()
    assert daemon.found == ()
    with planted.many(bed.root, 3) as paths:
        daemon.look()
        assert {one.subject for one in daemon.found} == paths
        assert len(paths) == 3


def test_who_does_not_look_at_contents_ends_the_bench(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found.begun(bed, 1, lambda _: None)
    monkeypatch.setattr(ours, "look", lambda *_: Spent(0.1, 0.1))  # what it answered before stays its answer
    with pytest.raises(SystemExit, match="driftd did not find the change"):
        measured.full(found)


def test_a_comparison_that_names_too_much_ends_it_too(bed: Bed) -> None:
    found = Found.begun(bed, 1, lambda _: None)
    extra = bed.root / "d0" / "unplanned"
    extra.touch()
    try:
        with pytest.raises(SystemExit, match="driftd did not find the change"):
            measured.check(found)
    finally:
        extra.unlink()


def test_the_cost_of_children_counts_and_the_memory_of_who_started_them_does_not(bed: Bed) -> None:
    fat = bytearray(200 << 20)
    out = bed.work / "counted"
    child = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    spent = spending.run(bed.spent, [sys.executable, "-c", parent], out=out)
    assert len(fat) >> 10 > spent.rss > 1000
    assert spent.cpu >= 0.3
    assert spent.wall >= 0.3
    with pytest.raises(SystemExit, match="ended with 3: of no use"):
        spending.run(bed.spent, ["sh", "-c", "echo of no use >&2; exit 3"], out=out)


def test_each_round_runs_every_side_once_and_the_first_does_not_count() -> None:
    calls: list[str] = []

    def side(name: str, cost: float):
        def run() -> Spent:
            calls.append(name)
            return Spent(cost * len(calls), cost)

        return run

    found = spending.interleaved({"a": side("a", 1.0), "b": side("b", 3.0)}, 4)
    assert [sorted(calls[at : at + 2]) for at in range(0, 10, 2)] == [["a", "b"]] * 5
    assert found["a"].per(found["b"], "cpu") == [3.0] * 4
    assert min(found["a"].values("wall")) > 2  # those of the first round were 1 and 2


@pytest.mark.parametrize(
    ("least", "value", "said"),
    [
        (True, 5, "aim"), (True, 4, "must"), (True, 3, "**missed**"),
        (False, 1, "aim"), (False, 3.2, "must"), (False, 5, "**missed**"),
        (False, None, "not built yet"),
    ],
)  # fmt: skip
def test_what_is_missed_is_told_so(least: bool, value: float | None, said: str) -> None:
    line = table.Line("x", "x", "s", 3.5, 4.5 if least else 2, least=least)
    assert line.verdict(value) == said
    assert table.Line("x", "x", "s").verdict(1.0) == "reported"


def test_the_parts_can_be_measured_alone(bed: Bed) -> None:
    words = ["--tree", bed.root, "--rounds", "1", "--only", "stat,compare"]
    command = [sys.executable, "-m", "bench.speed", *map(str, words)]
    done = subprocess.run(command, cwd=place.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == list(table.HEADS[:3])
    assert "compare, everything resent: daemon CPU" in done.stdout


def test_growth_is_drawn_over_parts_of_the_tree_that_differ(bed: Bed) -> None:
    parts = growth.subtrees(bed.root, (1, 3, 18, 20, 500))
    sizes = [sum(len(names) + len(folders) for _, folders, names in os.walk(part)) for part in parts]
    assert sizes == [2, 18, 19, 7 + 40 + 80 + 4]
    assert parts[-1] == bed.root
