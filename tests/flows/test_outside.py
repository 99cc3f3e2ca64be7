"""Looks out of band: what is done in which order, and that nothing but two copies calls anybody tampered with."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from trees import IMAGE, NOW, baked, file, fingerprint

from driftd.core.drift import compare
from driftd.core.errors import NoCapacity, NotFound, Refused, Throttled, Unavailable
from driftd.core.facts import Instance
from driftd.core.findings import Judgement, Verdict
from driftd.core.looks import DISK, Look
from driftd.core.memory import StoreUnavailable
from driftd.core.policy import Policy, judge
from driftd.edges.rooms import alone
from driftd.flows.outofband import Outside

TOOL = file(b"/usr/bin/tool", b"tool", 0o755)
HIDER = file(b"/usr/bin/hider", b"x", 0o4755)
MANIFEST = baked((TOOL,))
CLEAN, EVIL = fingerprint((TOOL,)), fingerprint((TOOL, HIDER))
WEB = Instance("i-1", "web", IMAGE, slot="web/0")
UNSEEN = Judgement(Verdict.UNKNOWN, "the file system is damaged")


class World:
    """An instance that shows ``inside`` and has ``disks``, one a copy; every step is written down."""

    def __init__(self, inside, disks):
        self.shown, self.disks = iter(inside), iter(disks)
        self.steps, self.now, self.numbers = [], NOW, count()

    # --- the two views ---

    def inside(self, instance, seeing):
        self.steps.append("inside")
        self.now += timedelta(seconds=5)
        shown = next(self.shown)
        if isinstance(shown, Exception):
            raise shown
        if shown is None:
            return Look(instance, self.now, 5.0, Judgement(Verdict.UNKNOWN, "not reached"))
        seeing.saw(shown)
        return self._look(instance, shown)

    def disk(self, instance, file, how, inside):
        assert file.read_text() == "disk"
        assert how == "all of it was read"
        self.steps.append("disk")
        found = self.read
        if found is None:
            return Look(instance, self.now, 1.0, UNSEEN, means=DISK)
        return replace(self._look(instance, found), means=DISK)

    def _look(self, instance, seen):
        found = judge(compare(MANIFEST, seen), Policy(), (), self.now, image=IMAGE)
        return Look(instance, self.now, 1.0, found, root=seen.root, manifest=MANIFEST)

    def judge(self, instance, disk, found):
        return judge(found, Policy(), (), self.now, image=IMAGE)

    @contextmanager
    def room(self):
        self.steps.append("room")
        yield self.place
        self.steps.append("out")

    # --- the provider ---

    def read_root(self, instance_id, token, into, limit):
        self.steps.append(f"read {token}")
        self.read = next(self.disks)
        if isinstance(self.read, Exception):
            raise self.read
        (self.place / "root.raw").write_text("disk")
        self.now += timedelta(seconds=30)
        return "all of it was read"

    def tidy_reads(self):
        self.steps.append("tidy")
        raise Throttled("too often")

    def wait(self, left):
        self.steps.append(f"wait {left.total_seconds():.0f}")
        self.now += left

    def look(self, place):
        self.place = place
        made = Outside(
            self, self, clock=lambda: self.now, wait=self.wait, name=lambda: f"t{next(self.numbers)}", limit=1
        )
        return made.look(WEB)


def test_the_disk_is_copied_between_two_looks_once_what_was_written_is_on_it(tmp_path):
    world = World([CLEAN, CLEAN], [CLEAN])
    both = world.look(tmp_path)
    assert world.steps == ["tidy", "inside", "wait 120", "room", "read t0", "inside", "disk", "out"]
    assert (both.inside.judgement.verdict, both.disk.judgement.verdict) == (Verdict.CLEAN, Verdict.CLEAN)
    assert (both.inside.means, both.disk.means) == ("", DISK)


def test_what_is_hidden_is_looked_at_a_second_time_by_another_copy(tmp_path):
    world = World([CLEAN] * 3, [EVIL] * 2)
    both = world.look(tmp_path)
    assert [step for step in world.steps if step[:4] in ("insi", "wait", "read")] == [
        "inside",
        "wait 120",
        "read t0",
        "inside",
        "wait 120",
        "read t1",
        "inside",
    ]
    assert both.inside.judgement.verdict is Verdict.CLEAN
    assert both.disk.judgement.verdict is Verdict.TAMPERED
    assert [(one.kind, one.subject) for one in both.disk.judgement.findings] == [("hidden", HIDER.path)]


def test_what_was_there_for_one_copy_alone_is_no_tampering(tmp_path):
    both = World([CLEAN] * 3, [EVIL, CLEAN]).look(tmp_path)
    assert (both.disk.judgement.verdict, both.disk.judgement.findings) == (Verdict.CLEAN, ())


@pytest.mark.parametrize("second", [None, Unavailable("no second copy")])
def test_where_a_second_copy_cannot_be_read_the_first_proves_nothing(tmp_path, second):
    both = World([CLEAN] * 3, [EVIL, second]).look(tmp_path)
    assert both.disk.judgement.verdict is Verdict.EXPLAINED
    assert [one.subject for one in both.disk.judgement.explained] == [HIDER.path]


def test_drift_that_the_instance_shows_is_drift_and_takes_one_copy(tmp_path):
    world = World([EVIL] * 2, [EVIL])
    both = world.look(tmp_path)
    assert (both.inside.judgement.verdict, both.disk.judgement.verdict) == (Verdict.DRIFTED, Verdict.DRIFTED)


def test_an_instance_that_cannot_be_reached_leaves_the_disk_to_speak(tmp_path):
    both = World([None, None], [EVIL]).look(tmp_path)
    assert (both.inside.judgement.verdict, both.disk.judgement.verdict) == (Verdict.UNKNOWN, Verdict.DRIFTED)


@pytest.mark.parametrize(
    "error", [Refused("no root volume", "why"), NotFound("gone"), Unavailable("away"), NoCapacity("full"), None]
)
def test_a_disk_that_cannot_be_read_is_unknown_and_changes_nothing_of_the_other(tmp_path, error):
    for inside in (CLEAN, EVIL):
        both = World([inside, inside], [error]).look(tmp_path)
        assert both.disk.judgement.verdict is Verdict.UNKNOWN
        assert both.disk.judgement.findings == ()
        assert both.inside.judgement.verdict is (Verdict.CLEAN if inside is CLEAN else Verdict.DRIFTED)
        if error is not None:
            assert str(error) in both.disk.judgement.reason
            assert both.disk.hint == error.hint


def test_a_store_that_cannot_be_written_is_nobodys_drift(tmp_path):
    with pytest.raises(StoreUnavailable):
        World([CLEAN, StoreUnavailable("full")], [CLEAN]).look(tmp_path)


def test_a_room_is_one_looks_alone_and_what_was_left_goes_first(tmp_path):
    place = tmp_path / "disks"
    (place / "read-left").mkdir(parents=True)
    (place / "read-left/root.raw").write_text("large")
    with alone(place) as room:
        assert sorted(one.name for one in place.iterdir()) == ["lock", room.name]
        with pytest.raises(Unavailable, match="in use by another look"), alone(place, patience_s=0.0):
            pass
        (room / "root.raw").write_text("large")
    assert [one.name for one in place.iterdir()] == ["lock"]
    Path(tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="there is no room"), alone(tmp_path / "file"):
        pass
