"""Disks, joined together: one held against its manifest alone, and against what its running instance says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core import disklooks
from driftd.core.asides import DiskReading
from driftd.core.difference import Difference
from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.findings import Action, Judgement, capped
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.policy import judge
from driftd.core.ports import Provider
from driftd.core.wording import outofband as words
from driftd.doors.desks.disks import Disk, Tell, quiet
from driftd.edges import documents
from driftd.edges.images.looker import UNPACKED_LIMIT, ImageLooker
from driftd.edges.images.program import DISK, Spec
from driftd.edges.local import converse
from driftd.flows.audit import Rules, Visits, audit
from driftd.flows.outofband import Both, Outside, Seeing, Views
from driftd.flows.remembering import Known
from driftd.wiring.baking import DEADLINE_S, LARGEST
from driftd.wiring.looking import several
from driftd.wiring.trust import Given

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Disks:
    """Implements ``driftd.doors.desks.disks.DiskDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def audit(
        self, disk: Disk, manifest: Path, policy: Sequence[str], *, strict: bool, keys: Sequence[Path] = ()
    ) -> Look:
        house = self._house
        made = house.trusting.given(manifest, keys)
        if not disk.file.exists():
            raise BadInput(f"there is no disk {str(disk.file)!r}", "see that its name is right")
        looker = reader(disk)
        showing = house.explaining().showing_beside(manifest)
        overlays = documents.OverlayDirectory(manifest.parent, manifest)
        rules = Rules(documents.load_policy(policy, Path()), (), strict, overlays, showing, house.packages)
        instance = Instance(id=str(disk.file), group="", image=made.image)
        look = audit(instance, looker, Given(made), rules, tuple, house.now, keys=house.keys, deadline_s=DEADLINE_S)
        return disklooks.told(look, looker.notes)

    def both(self, instances: Sequence[Instance], *, strict: bool, tell: Tell = quiet) -> Iterator[Look]:
        house = self._house
        readers = {one.group: reading_of(house.provider(one.group)) for one in instances}
        with house.store() as store:
            views = HouseViews(house, store, strict=strict)

            def look(instance: Instance) -> Both:
                return outside(house, views, readers[instance.group], instance.group, tell).look(instance)

            for both in several(look, [*instances], house.settings.daemon.lookers):
                yield from (both.inside, both.disk)


class HouseViews:
    """``flows.outofband.Views`` of one house."""

    def __init__(self, house: WiredHouse, store: Store, *, strict: bool = False) -> None:
        self._house = house
        self._store = store
        self._strict = strict

    def inside(self, instance: Instance, seeing: Seeing) -> Look:
        def look(visited: Instance, visits: Visits, known: Known) -> Look:
            return self._house.judged_look(visited, visits, known, self._store, strict=self._strict, besides=seeing)

        return self._house.visitor(self._store, look)(instance)

    def disk(self, instance: Instance, file: Path, how: str, inside: Look) -> Look:
        house = self._house
        own = house.looker.own_key(instance)
        spec = Spec(DISK, str(file), "", UNPACKED_LIMIT, replay=True)  # as after a power cut, since it runs
        looker = ImageLooker(spec, converse, own=own, room=file.parent)
        unreached = replace(instance, reach=Reach(user=instance.reach.user))
        manifests = Given(inside.manifest) if inside.manifest is not None else house.manifests
        look = audit(
            unreached,
            looker,
            manifests,
            self._rules(instance),
            tuple,
            house.now,
            keys=house.keys,
            deadline_s=DEADLINE_S,
        )
        return disklooks.told(replace(look, instance=instance), (how, *looker.notes))

    def judge(self, instance: Instance, disk: Look, found: Sequence[Difference]) -> Judgement:
        rules = self._rules(instance)
        made = disk.manifest
        of_image = rules.of(made) if made is not None else rules
        policy = rules.policy if isinstance(of_image, Unseen) else of_image.policy
        judgement = judge(
            found,
            policy,
            rules.suppressions,
            self._house.now(),
            group=instance.group,
            image=instance.image,
            strict=self._strict,
        )
        if disk.enforceable:
            return judgement
        return replace(judgement, action=capped(judgement.action, Action.ALERT))

    @contextmanager
    def room(self) -> Iterator[Path]:
        with self._house.room() as room:
            yield room

    def _rules(self, instance: Instance) -> Rules:
        house = self._house
        with self._store.read() as tx:
            accepted = tx.suppressions(house.now())
        policy, overlays = house.policies[instance.group], house.calibrating().overlays
        return Rules(policy, accepted, self._strict, overlays, house.explaining().showing, house.packages)


def reading_of(provider: Provider) -> DiskReading:
    """Who reads the disks of a provider's instances. Raises BadInput where it cannot."""
    if not isinstance(provider, DiskReading):
        raise BadInput(words.no_disks(provider.name), "local-vm and aws do (docs/out-of-band.md)")
    return provider


def _slept(left: timedelta) -> None:
    time.sleep(left.total_seconds())


def outside(
    house: WiredHouse,
    views: Views,
    reading: DiskReading,
    group: str,
    tell: Tell = quiet,
    wait: Callable[[timedelta], None] = _slept,
) -> Outside:
    """Who looks at a group's disks."""
    return Outside(
        views,
        reading,
        clock=house.now,
        wait=wait,
        name=lambda: f"read-{secrets.token_hex(8)}",
        limit=LARGEST,
        settled=house.settings.groups[group].out_of_band.settle,
        tell=tell,
    )


def reader(disk: Disk) -> ImageLooker:
    """What reads it."""
    limit = disk.unpacked_limit or UNPACKED_LIMIT
    return ImageLooker(Spec(DISK, str(disk.file.absolute()), "", limit, "", disk.partition, disk.replay), converse)
