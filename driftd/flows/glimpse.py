"""Glimpse: hold what a resident probe shows of a few directories against the manifest, and judge it as a look is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.core import drift, glimpses, sessions, whose
from driftd.core.difference import Difference
from driftd.core.evidence import Evidence
from driftd.core.facts import Instance, Session, Unseen
from driftd.core.findings import Judgement
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.marks import Past
from driftd.core.policy import judge
from driftd.core.ports import Manifests
from driftd.core.reconcile import reconcile
from driftd.core.watching import Glimpse, Why
from driftd.core.whose import Visit
from driftd.flows.audit import Rules


@dataclass(frozen=True, slots=True)
class Beheld:
    """What a glimpse comes to. ``look`` is a partial one, None where there is nothing to record.

    ``whys`` are the reasons for which it takes a whole look.
    """

    look: Look | None = None
    whys: tuple[Why, ...] = ()


class Beholder:
    """Judges the glimpses of one instance. ``rules`` are its group's, before its manifest is known.

    ``own_key`` is what driftd's visits are made with, ``past`` gives what earlier looks left of the instance.
    """

    def __init__(self, instance: Instance, manifests: Manifests, own_key: str, past: Callable[[], Past]) -> None:
        self._instance = instance
        self._manifests = manifests
        self._own_key = own_key
        self._past = past
        self._known: tuple[Manifest, Rules, Rules] | None = None

    def behold(self, glimpse: Glimpse, rules: Rules, visits: Callable[[], Sequence[Visit]], now: datetime) -> Beheld:
        """Never raises for what the instance shows."""
        stated = self._stated(rules)
        if stated is None:
            return Beheld(None, (Why.UNSURE,) if glimpse.seen else ())  # the whole look says why
        manifest, rules = stated
        whys = [glimpse.full] if glimpse.full else []
        if any(not glimpses.contains(manifest, program) for program in glimpse.programs):
            whys.append(Why.PROGRAM)
        held = glimpses.part(manifest, glimpse)
        if held is None:
            return Beheld(None, tuple(whys))
        baked, seen = held
        if seen.unreadable:
            whys.append(Why.TOO_MUCH)
        evidence = Evidence.of(baked, seen, self._past().marks, now, self._instance.launched_at)
        found = glimpses.sort_out(
            drift.compare(baked, seen, f"{self._instance.reach.user} {self._own_key}"),
            rules.speaking(baked, now),
            evidence,
        )
        if found.unsure:
            whys.append(Why.UNSURE)
        split = self._split(glimpse, visits, now) if glimpse.logins else whose.Split((), ())
        others = tuple(one for one in split.others if one.kind or one.door != "ssh")
        if len(others) < len(split.others):
            whys.append(Why.UNSURE)  # who has just come in: what for is seen a moment later, and decides what follows
            split = replace(split, others=others)
        differences: tuple[Difference, ...] = (*found.plain, *sessions.differences(others))
        judgement = judge(
            differences,
            rules.policy,
            rules.suppressions,
            now,
            group=self._instance.group,
            image=manifest.image,
            classes=baked.classes,
            evidence=evidence,
        )
        if not judgement.findings and not split.own:
            return Beheld(None, tuple(whys))
        return Beheld(self._look(judgement, manifest, split, now), tuple(whys))

    def _stated(self, rules: Rules) -> tuple[Manifest, Rules] | None:
        manifest = self._manifests.for_image(self._instance.image)
        if isinstance(manifest, Unseen) or manifest.image != self._instance.image:
            return None
        known = self._known
        if known is not None and known[0] is manifest and known[1].policy is rules.policy:
            # Which packs apply to an image is a question to all of its manifest, and has one answer.
            return manifest, replace(known[2], suppressions=rules.suppressions)
        of_image = rules.of(manifest)
        if isinstance(of_image, Unseen):
            return None
        self._known = manifest, rules, of_image
        return manifest, of_image

    def _split(self, glimpse: Glimpse, visits: Callable[[], Sequence[Visit]], now: datetime) -> whose.Split:
        seen = glimpse.seen
        if seen is None:
            return whose.Split((), ())
        before = visits()
        mine = [one.made for one in before if one.made is not None]
        found = reconcile(seen.sessions, seen.readings, mine, boot_id=seen.boot_id)
        # What is older than the instance came with the image, as for a whole look, which knows the boot as well.
        return whose.split(found.sessions, before, now, born=self._instance.launched_at)

    def _look(self, judgement: Judgement, manifest: Manifest, split: whose.Split, now: datetime) -> Look:
        others: tuple[Session, ...] = split.others
        return Look(
            instance=self._instance,
            at=now,
            duration_s=0.0,
            judgement=judgement,
            others=others,
            own=split.own,
            enforceable=manifest.enforceable,
            partial=True,
        )
