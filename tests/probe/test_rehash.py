"""The rolling rehash: each file is read once in a period, whatever the times say, and no faster than it may be."""

from __future__ import annotations

import time
from pathlib import Path

from asking import Look
from glancing import Known, Probe, agree, tick


def test_each_file_is_read_once_in_a_period_and_in_the_order_of_its_phase(tree: Path, probe: Probe) -> None:
    for name in ("etc", "usr/bin", "var"):
        (tree / name).mkdir(parents=True)
        for number in range(40):
            (tree / name / f"{number}").write_text("content")
    tick()
    known = Known(probe, tree)
    known.glance()
    seen: list[bytes] = []
    for at in range(0, 1000, 100):
        known.glance([[1000, at, at + 100, [b"/etc", b"/usr/bin/7"]], [4000, 0, 0, [b"/"]]])
        assert known.same
        assert known.reached == [at + 100, 0]
        seen += known.reads
    assert sorted(seen) == sorted([b"/etc/%d" % number for number in range(40)] + [b"/usr/bin/7"])
    known.glance([[1000, 5, 5000, [b"/etc", b"/usr/bin/7"]], [4000, 0, 4000, [b"/"]]])
    assert len(known.reads) == 120


def test_a_rehash_stops_at_its_bytes_and_goes_on_from_there(tree: Path, probe: Probe) -> None:
    for number in range(50):
        (tree / f"{number}").write_bytes(b"x" * 1000)
    tick()
    known = Known(probe, tree)
    known.glance()
    seen: list[bytes] = []
    at, rounds = 0, 0
    while at < 10**6:
        known.glance([[10**6, at, 10**6, [b"/"]]], most=4500)
        assert 0 < len(known.reads) <= 6
        assert known.reached[0] > at
        at = known.reached[0]
        seen += known.reads
        rounds += 1
    assert sorted(seen) == sorted(b"/%d" % number for number in range(50))
    assert rounds == 10


def test_a_rehash_is_no_faster_than_it_may_be(tree: Path, probe: Probe) -> None:
    (tree / "large").write_bytes(b"x" * 300_000)
    tick()
    known = Known(probe, tree)
    known.glance()
    began = time.monotonic()
    known.glance([[1000, 0, 1000, [b"/"]]], rate=1_000_000)
    assert time.monotonic() - began > 0.25


def test_a_rehash_reads_what_no_time_tells(tree: Path, probe: Probe, look_at: Look) -> None:
    """The digest that was known is wrong, as if the disk had been written past the file system."""
    (tree / "file").write_text("x")
    tick()
    known = Known(probe, tree)
    known.glance()
    known.entries[b"/file"] = known.entries[b"/file"]._replace(sha256=bytes(32))
    known.glance([[1000, 0, 1000, [b"/"]]])
    assert known.same
    agree(known, look_at)
