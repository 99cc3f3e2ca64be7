"""Explaining, joined together: whose sidecars, who compares, and what the store knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.aftermath import Aftermath
from driftd.core.causes.fleet import Spread, spread
from driftd.core.errors import BadInput
from driftd.core.explanation import (
    Asked,
    Explanation,
    came_of,
    difference_of,
    judged_by,
    named,
    overlapping,
    same_elsewhere,
    unshown,
    ways_to_stop,
)
from driftd.core.facts import Unseen
from driftd.core.history import History
from driftd.core.memory import FindingRow, InstanceRow, Pause, Tx
from driftd.core.outlook import outlook
from driftd.core.policy import Policy
from driftd.core.showable import show_for
from driftd.core.shown import Exhibit, Shown, exhibit
from driftd.core.wording import explaining as said
from driftd.core.wording import near
from driftd.doors.cli.status import by_file
from driftd.edges import documents
from driftd.edges.semantic import SemanticDiffer
from driftd.flows.following import followed
from driftd.flows.showing import Showing
from driftd.wiring.answering import motd_of, rules_by_group
from driftd.wiring.recounting import history_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

MOST = 50  # findings of one instance that are explained at once


@dataclass(frozen=True, slots=True)
class _Known:
    instances: Sequence[InstanceRow]
    findings: Sequence[FindingRow]
    causes: Sequence[Spread]
    pauses: Sequence[Pause]


class Explaining:
    """Implements ``driftd.doors.desks.explaining.ExplainDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    @cached_property
    def showing(self) -> Showing:
        """What is shown of files whose manifests lie in the configured directory."""
        directory = self._house.settings.path(self._house.settings.manifests)
        return Showing(documents.SidecarDirectory(directory), SemanticDiffer())

    def showing_beside(self, manifest: Path) -> Showing:
        """The same for a manifest that a person named."""
        return Showing(documents.SidecarDirectory(manifest.parent, manifest), SemanticDiffer())

    # --- the desk ---

    def explain(self, name: str) -> Asked:
        house, now = self._house, self._house.now()
        with house.store(read_only=True) as store, store.read() as tx:
            instances = tx.instances()
            rows = list(tx.open_findings())
            if name.isdecimal() and name not in {str(row.id) for row in rows} and (old := tx.finding(int(name))):
                rows.append(old)
            causes = spread(rows)
            about = named(name, rows, causes, instances)
            if not about.rows and about.instance is None:
                names = [word for row in instances for word in (row.slot, row.id)]
                names += [row.finding.signature for row in rows]
                raise BadInput(said.not_found(name), near.hint(name, names, "see: driftd findings, driftd status"))
            pauses = [*tx.pauses(), *by_file(house.pause_file())]
            known = _Known(tx.instances(gone=True), rows, causes, pauses)
            made = tuple(self._explained(tx, row, known, now) for row in about.rows[:MOST])
        return Asked(about, made, now, len(about.rows) - len(made))

    def _explained(self, tx: Tx, row: FindingRow, known: _Known, now: datetime) -> Explanation:
        house = self._house
        instance = next(one for one in known.instances if one.id == row.instance_id)
        enforce, every = house.enforce(instance.group), house.every(instance.group)
        record = next((one for one in tx.open_replacements() if instance.id in (one.old_id, one.new_id)), None)
        pauses = [one for one in known.pauses if one.group in ("", instance.group)]
        policy, exhibit, why = self._shown(instance.image, instance.group, row, tx.shown(row.id))
        alive = [one for one in known.instances if one.gone_at is None]
        return Explanation(
            row=row,
            instance=instance,
            rule=judged_by(row.finding, policy),
            exhibit=exhibit,
            unshown=unshown(
                row.finding, exhibit, showable=show_for(row.finding.subject, policy.shows) is not None, sidecar=why
            ),
            cause=came_of(row, known.causes),
            elsewhere=same_elsewhere(row, known.findings, alive),
            peers=sum(one.group == instance.group for one in alive),
            sessions=overlapping(row, tx.sessions(instance.id), every),
            outlook=replace(
                outlook(instance, record, known.pauses, enforce, every, now),
                follows=self.follows(tx, [instance], now).get(instance.id),
            ),
            stop=ways_to_stop(row, instance, record, enforce, paused=bool(pauses)),
            attribution=tx.attributions(instance.id, over=True).get(row.id),
        )

    def _shown(
        self, image: str, group: str, row: FindingRow, after: Shown | None
    ) -> tuple[Policy, Exhibit | None, str]:
        """The policy that judges there, what can be shown, and why the image's text cannot be."""
        policy = self._house.policies.get(group, Policy())
        manifest = self._house.trusting.manifests.for_image(image)
        sidecar = None if isinstance(manifest, Unseen) else self.showing.sidecars.for_manifest(manifest)
        why = manifest.reason if isinstance(manifest, Unseen) else sidecar.reason if isinstance(sidecar, Unseen) else ""
        if not isinstance(manifest, Unseen):
            policy = policy.for_manifest(manifest)
        baked = {} if sidecar is None or isinstance(sidecar, Unseen) else sidecar.files
        there = {row.finding.subject: after} if after else {}
        made = exhibit(difference_of(row.finding), baked, there, self.showing.differ)
        if why and made is not None and made.before is None:
            made = replace(made, comparison=replace(made.comparison, note=why))
        return policy, made, why

    def follows(self, tx: Tx, rows: Iterable[InstanceRow], now: datetime) -> Mapping[str, Aftermath]:
        return followed(tx, rules_by_group(self._house.settings), rows, now)

    def motd(self, name: str) -> str:
        return motd_of(self._house, name)

    def history(self, name: str) -> History:
        return history_of(self._house, name)

    def shows(self) -> Policy:
        """What a bake keeps: whatever any shipped pack or any group's document lists as showable."""
        groups = [pack for policy in self._house.policies.values() for pack in policy.packs]
        return Policy.of([*groups, *documents.load_policy(["auto"], Path()).packs])
