"""Evidence, kept by the flow: of one look that is asked for more than judging needs; removed once its time is over."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sweeping import Fleet
from trees import IMAGE, baked

from driftd.core.custody.ledger import SUBJECT, ledger
from driftd.core.errors import Refused, Unavailable
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.policy import Policy
from driftd.core.replacement import Record, State
from driftd.edges.bundles import BundleDirectory, unpacked
from driftd.edges.local import LocalLooker
from driftd.flows.audit import Rules, audit
from driftd.flows.capture import Capturer
from driftd.flows.expire import Expirer

RID = "01KTQ8Z3F5M7N9P1R3T5V7W9XA"


class Scene:
    """A server's tree on this machine, as it was baked and as it is now; the real store and the real directory."""

    def __init__(self, fleet: Fleet, home: Path) -> None:
        self.fleet = fleet
        self.root = home / "root"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/app.conf").write_text("listen = 80\n")
        self.instance = Instance("i-0001", "web", IMAGE, slot="web/1", reach=Reach(root=str(self.root)))
        self.manifest = baked([*LocalLooker().look(self.instance, deadline_s=30).entries])
        self.place = BundleDirectory(home / "evidence", 1 << 30)
        self.looks = 0
        self.capturer = Capturer(fleet.store, self.place, self.see, clock=fleet.clock, generator="test")

    def see(self, instance, taking):
        self.looks += 1
        rules = Rules(Policy(), besides=taking)
        return audit(instance, LocalLooker(), self, rules, tuple, self.fleet.clock, deadline_s=30)

    def for_image(self, _image):
        return self.manifest

    def record(self, **more) -> Record:
        now = self.fleet.clock()
        values = {
            "rid": RID,
            "group": "web",
            "slot": "web/1",
            "image": IMAGE,
            "old_id": "i-0001",
            "why": "drift\x1b[2J",
        }
        return Record(**values | {"state": State.CAPTURING, "created_at": now, "entered_at": now} | more)

    def ledger(self):
        with self.fleet.store.read() as tx:
            return ledger(tx.journal_lines(SUBJECT))

    def members(self, bundle: str) -> dict[str, bytes]:
        return unpacked(self.place.read(bundle, self.ledger()[bundle].held))


@pytest.fixture
def scene(fleet, tmp_path):
    return Scene(fleet, tmp_path)


def test_what_changed_is_kept_and_asked_for_once(scene):
    (scene.root / "etc/app.conf").write_text("listen = 81\npassword = correct-horse\n")
    shutil.copy("/bin/sh", scene.root / "etc/kit")
    (scene.root / "etc/shadow").write_text("root:$6$abc:1::\n")
    assert scene.capturer(scene.fleet.group, scene.record(), scene.instance) == RID
    found = scene.members(RID)
    index = json.loads(found["index.json"])
    files = {one["path"]: one for one in index["files"]}
    assert found[files["/etc/kit"]["member"]] == Path("/bin/sh").read_bytes()
    assert b"listen = 81" in found[files["/etc/app.conf"]["member"]]
    assert files["/etc/shadow"]["content"] == "none"
    assert b"correct-horse" not in b"".join(found.values())
    assert b"$6$abc" not in b"".join(found.values())
    assert json.loads(found["processes.json"])["incomplete"] == "it is no running system"
    assert "\x1b" not in index["because"]
    kept = scene.ledger()[RID]
    assert (kept.findings, kept.files, kept.contents, kept.until) == (3, 3, 2, kept.at + timedelta(days=30))
    assert scene.capturer(scene.fleet.group, scene.record(), scene.instance) == RID
    assert scene.looks == 1, "a second call after a crash finds it"


def test_an_instance_that_cannot_be_seen_is_tried_three_times(scene):
    scene.manifest = Unseen("no manifest for that")
    for tries in (0, 1):
        with pytest.raises(Unavailable, match="no manifest for that"):
            scene.capturer(scene.fleet.group, scene.record(tries=tries), scene.instance)
        assert not scene.ledger()
    assert scene.capturer(scene.fleet.group, scene.record(tries=2), scene.instance) == RID
    assert not scene.ledger()[RID].reached
    assert json.loads(scene.members(RID)["index.json"])["reason"] == "no manifest for that"


def test_by_hand_it_is_of_what_can_be_seen_and_stands_as_a_persons_deed(scene):
    kept = scene.capturer.by_hand(scene.fleet.group, scene.instance, "OPS-4711", "ann")
    assert json.loads(scene.members(kept.id)["index.json"])["by"] == "ann"
    with scene.fleet.store.read() as tx:
        (line,) = tx.journal_lines(SUBJECT)
    assert (line.kind, line.body["by"], line.body["sha256"]) == ("human", "ann", kept.sha256)
    scene.manifest = Unseen("no manifest", "bake one")
    with pytest.raises(Unavailable, match="could not be looked at") as refused:
        scene.capturer.by_hand(scene.fleet.group, scene.instance, "why", "ann")
    assert refused.value.hint == "bake one"


def test_what_cannot_be_kept_is_refused_and_nothing_says_that_it_is(scene):
    scene.place.directory.parent.joinpath("evidence").write_text("a file in its place")
    with pytest.raises(Refused, match="could not be written"):
        scene.capturer(scene.fleet.group, scene.record(), scene.instance)
    assert not scene.ledger()


def test_it_is_removed_once_its_time_is_over_and_never_what_nobody_knows(scene, monkeypatch):
    scene.capturer(scene.fleet.group, scene.record(), scene.instance)
    stray = scene.place.directory / "01KTQ8Z3F5M7N9P1R3T5V7W9XZ.tar.gz"
    stray.write_bytes(b"of another store")
    fences: list[int] = []
    expirer = Expirer(scene.fleet.store, scene.place, {}, clock=scene.fleet.clock, fence=lambda: fences.append(1))
    scene.fleet.clock.advance(timedelta(days=30).total_seconds() - 3600)
    assert expirer.tick() == []
    assert not fences
    scene.fleet.clock.advance(7200)
    with monkeypatch.context() as broken:

        def no(_bundle: str) -> None:
            raise Refused("read-only file system")

        broken.setattr(scene.place, "remove", no)
        assert "could not be removed" in expirer.tick()[0]
        assert not scene.ledger()[RID].gone
    (said,) = expirer.tick()
    assert RID in said
    assert "was to be kept until" in scene.ledger()[RID].gone
    assert [one.name for one in scene.place.directory.iterdir()] == [stray.name]
    assert expirer.tick() == []
    assert len(fences) == 2


def test_a_copy_of_the_root_goes_with_it_and_ends_with_it(scene):
    provider = scene.fleet.provider
    provider.fail_next("provider.copy_root", Unavailable("503"))
    assert scene.capturer(scene.fleet.group, scene.record(), scene.instance) == RID
    assert not scene.ledger()[RID].root
    assert "503" in json.loads(scene.members(RID)["index.json"])["root_copy"]["why"], "the bundle is worth having alone"
    group = scene.fleet.group
    kept = scene.capturer.by_hand(group, scene.instance, "OPS-4711", "ann")
    (copy,) = provider.root_copies()
    assert (kept.root, copy.volume_id) == (copy.id, scene.instance.id)
    assert provider.root_until[copy.id] == kept.until
    assert "a copy of the root volume" in kept.holds
    off = replace(group, evidence=replace(group.evidence, root=False))
    assert not scene.capturer.by_hand(off, scene.instance, "OPS-4711", "ann").root
    expirer = Expirer(scene.fleet.store, scene.place, {"web": group}, clock=scene.fleet.clock)
    scene.fleet.clock.advance(timedelta(days=31).total_seconds())
    provider.fail_next("provider.delete_root_copy", Unavailable("503"))
    assert len(expirer.tick()) == 3
    assert provider.root_copies(), "what could not be deleted is tried again, and its bundle tells of it until then"
    assert not scene.ledger()[kept.id].gone
    assert len(expirer.tick()) == 1
    assert not provider.root_copies()
