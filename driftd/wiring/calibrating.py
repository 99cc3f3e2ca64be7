"""Calibration, joined together: which group launches, who looks, and where the overlay goes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ulid import ULID

from driftd.core import drift
from driftd.core.asks import Ask
from driftd.core.calibration import inquiry, marks
from driftd.core.calibration.inquiry import Contents
from driftd.core.difference import Difference
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.fingerprint import Fingerprint
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.memory import Store
from driftd.core.ports import Compute
from driftd.core.wording import calibration as wording
from driftd.core.wording import keeping, lasting, near, shown
from driftd.doors.cli.files import write
from driftd.doors.desks.calibration import Intended, Outcome, Tell, Wish
from driftd.edges import documents
from driftd.flows.audit import Rules, Visits, audit
from driftd.flows.calibrate import Calibrated, Calibrator, Watch, Watched
from driftd.flows.collect import collect
from driftd.flows.groups import Group
from driftd.flows.inquire import Inquirer
from driftd.flows.remembering import Known
from driftd.flows.stops import stops
from driftd.flows.trial import Plan, Trial
from driftd.flows.visit import Visitor
from driftd.wiring.trust import Given

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

LEAST_INSTANCES, MOST_INSTANCES = 2, 20


class Calibrating:
    """Implements ``driftd.doors.desks.calibration.CalibrationDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    @cached_property
    def overlays(self) -> documents.OverlayDirectory:
        """What was learnt of images, beside their manifests."""
        return documents.OverlayDirectory(self._house.settings.path(self._house.settings.manifests))

    # --- the desk ---

    def intended(self, wish: Wish) -> Intended:
        group, image = self._chosen(wish)
        _check(wish)
        _compute(group)
        files = self._house.manifests.files(image)
        self._manifest(image)
        plan = _plan(wish, group.name, image)
        output = wish.output or files.overlay
        return Intended(
            group=group.name,
            image=image,
            provider=group.provider.name,
            slots=plan.slots,
            looks=[
                "after boot",
                *([f"after {lasting(plan.wait)} more"] if plan.wait else []),
                *(["after a restart"] if plan.restart else []),
            ],
            manifest=files.manifest,
            output=output,
            replaces=output.exists(),
            signed=files.envelope.exists(),
            beside=None if output.absolute() == files.overlay.absolute() else files.overlay,
        )

    def calibrate(self, wish: Wish, tell: Tell) -> Outcome:
        intended = self.intended(wish)
        group, house = self._house.groups[intended.group], self._house
        manifest = self._manifest(intended.image)
        compute = _compute(group)
        plan = _plan(wish, intended.group, intended.image)
        with house.store() as store:
            note = _Journal(store, house)
            group.provider.prepare()
            notes = (
                [] if self._paused(store, group.name) else collect(compute, note, house.now(), targets=group.targets())
            )
            calibrator = Calibrator(
                plan,
                Trial(plan, compute, note, house.now, time.sleep, lambda: self._paused(store, group.name)),
                self._watch(group, manifest, store),
                clock=house.now,
                tell=tell,
                health=group.health,
                boot_timeout=group.limits.boot_timeout,
            )
            done = calibrator.run()
            overlay = documents.render_overlay(done.calibration.rules, *_words(done, manifest))
            # One without rules would only have to be signed; it takes the place of another, though.
            written = bool(done.calibration.rules) or intended.replaces or wish.output is not None
            if written:
                write(intended.output, overlay)
            body = {"rules": len(done.calibration.rules), "left": len(done.calibration.left), "by": house.person()}
            note("human", f"calibration/{plan.run}", {"did": "calibrate", "image": plan.image, **body})
        return Outcome(intended, done.instances, done.moments, done.calibration, overlay, notes, written)

    # --- inside ---

    def _chosen(self, wish: Wish) -> tuple[Group, str]:
        """Who launches, and which image."""
        groups = self._house.groups
        if wish.target in groups:
            group = groups[wish.target]
            if not group.image:
                raise BadInput(f"group {group.name} names no image", "say which: driftd calibrate IMAGE --group GROUP")
            return group, group.image
        able = {name: group for name, group in groups.items() if group.provider.compute is not None}
        of_image = [name for name, group in able.items() if group.image == wish.target]
        named = [wish.group] if wish.group else of_image or list(able)
        if wish.group and wish.group not in groups:
            self._house.settings.group(wish.group)  # refuses it, with what may have been meant
        if not named:
            raise BadInput(
                f"{wish.target!r} is no group, and no group's provider can launch instances",
                near.hint(wish.target, groups, "configure a group with a provider that can: docs/configuration.md"),
            )
        if len(named) > 1:
            hint = f"say which one launches it: --group {named[0]}, or {', '.join(named[1:])}"
            raise BadInput(f"several groups could launch {wish.target!r}", hint)
        return groups[named[0]], wish.target

    def _manifest(self, image: str) -> Manifest:
        """The manifest, signed or not yet: it is signed anew together with the overlay."""
        file = self._house.manifests.path_for(image)
        if not file.exists():
            raise BadInput(wording.no_manifest(image, str(file)), f"driftd bake --root DIR --image {image} -o {file}")
        made = documents.load_manifest(file)
        if made.image != image:
            raise BadInput(f"{file} is the manifest of {made.image}, not of {image}", "bake the image again")
        return made

    def _paused(self, store: Store, group: str) -> str:
        """Why nothing may be changed in ``group`` now; "" when it may."""
        file = self._house.pause_file()
        return stops(store, group, lambda _group: keeping.paused_by_file(str(file)) if file.exists() else "").any

    def _watch(self, group: Group, manifest: Manifest, store: Store) -> Watch:
        """A look judged by the group's policy alone: what an earlier overlay says is to be learnt anew."""
        house = self._house
        policy = house.policies[group.name]
        rules = Rules(policy)
        own = policy.for_manifest(manifest)

        def watch(instance: Instance, before: Contents) -> Watched:
            def also(fingerprint: Fingerprint) -> Sequence[Ask]:
                found = drift.compare(manifest, fingerprint)
                return inquiry.asks([one for one in found if not _spoken(one)], before)

            def _spoken(one: Difference) -> bool:
                return any(rule.speaks_of(one) for rule in own.rules)

            inquirer = Inquirer(house.looker, also)

            def look(instance: Instance, visits: Visits, _known: Known) -> Look:
                deadline = house.settings.ssh.look_timeout.total_seconds()
                return audit(
                    instance, inquirer, Given(manifest), rules, visits, house.now, keys=house.keys, deadline_s=deadline
                )

            longest = house.settings.ssh.look_timeout * 2
            seen = Visitor(store, look, house.looker.own_key, clock=house.now, longest=longest)(instance)
            answers = inquirer.seen.answers if inquirer.seen else {}
            return Watched(seen, inquiry.forms(answers), inquiry.kept(answers, before))

        return watch


class _Journal:
    """Callable: a line of the journal for each thing that is done."""

    def __init__(self, store: Store, house: WiredHouse) -> None:
        self._store = store
        self._house = house

    def __call__(self, kind: str, subject: str, body: Mapping[str, object]) -> None:
        with self._store.write() as tx:
            tx.journal(kind, subject, body, self._house.now())


def _compute(group: Group) -> Compute:
    if group.provider.compute is None:
        raise BadInput(
            f"provider {group.provider.name} of group {group.name} cannot launch instances",
            "calibrate with a group whose provider can; any group may use the overlay",
        )
    return group.provider.compute


def _check(wish: Wish) -> None:
    if not LEAST_INSTANCES <= wish.instances <= MOST_INSTANCES:
        few = wish.instances < LEAST_INSTANCES
        hint = (
            "of one alone nobody can tell what is its own and what they share" if few else "three are enough for most"
        )
        raise BadInput(f"calibrating takes {LEAST_INSTANCES} to {MOST_INSTANCES} instances, not {wish.instances}", hint)
    if wish.at_most > marks.LONGEST:
        raise BadInput("a calibration may take two days at most", "give a shorter --at-most")
    if wish.wait >= wish.at_most:
        raise BadInput("waiting would take all the time that there is", "give a longer --at-most, or a shorter --wait")


def _plan(wish: Wish, group: str, image: str) -> Plan:
    return Plan(str(ULID()), group, image, wish.instances, wish.wait, wish.restart, wish.at_most)


def _words(done: Calibrated, manifest: Manifest) -> tuple[list[str], str]:
    """The document's head and its description."""
    head = wording.head(
        image=manifest.image,
        root=manifest.root.hex(),
        day=f"{done.ended:%Y-%m-%d %H:%M} UTC",
        instances=done.instances,
        moments=done.moments,
        explained=done.calibration.explained,
        left=[(one.kind, shown(one.subject), one.change, one.why) for one in done.calibration.left],
    )
    return head, wording.description(manifest.image, len(done.instances))
