"""Policies, joined together: the documents, the images that they are held against, and what the store remembers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.memory import ExplainedRow, FindingRow, InstanceRow, Suppression
from driftd.core.packs import DEFAULT, Pack
from driftd.core.policy import Policy
from driftd.core.review import against, review, unused
from driftd.core.trial import Past, Result, Simulation, run, simulate
from driftd.core.wording import policies as say
from driftd.doors.desks.policies import Checked, Tell
from driftd.edges import documents
from driftd.edges.documents import cases
from driftd.settings import Enforce

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store remembers of a time, read at once: who judges it may take long, and a transaction must not."""

    rows: Sequence[InstanceRow]
    found: Sequence[FindingRow]
    explained: Sequence[ExplainedRow]
    suppressions: tuple[Suppression, ...]


class Policies:
    """Implements ``driftd.doors.desks.policies.PolicyDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    # --- check ---

    def check(self, names: Sequence[str], *, manifests: Sequence[Path], history: timedelta | None) -> Sequence[Checked]:
        given = [documents.load_manifest(file) for file in manifests]
        if names:
            read = [(name, documents.load_policy([name], Path()), "") for name in names]
        elif self._house.settings.groups:
            read = [(f"group {name}", policy, name) for name, policy in self._house.policies.items()]
        else:
            read = [(name, documents.load_policy([name]), "") for name in documents.packs()]
        if history is not None and not any(group for *_, group in read):
            raise BadInput("history is of the configured groups", "leave out the names, or --unused-for")
        return [self._checked(name, policy, group, given, history) for name, policy, group in read]

    def _checked(
        self, name: str, policy: Policy, group: str, given: Sequence[Manifest], history: timedelta | None
    ) -> Checked:
        house, now, notes = self._house, self._house.now(), []
        images: list[Manifest] = list(given)
        if group and not given and (image := house.settings.group(group).image):
            found = house.manifests.for_image(image)
            if isinstance(found, Unseen):
                notes.append(say.no_manifest(found.reason))
            else:
                images.append(found)
        chosen = [policy.for_manifest(image) for image in images] or [policy]
        remarks = {remark: None for one in chosen for remark in review(one, now)}
        for one, held_against in zip(chosen, images, strict=False):
            remarks.update(dict.fromkeys(against(one, held_against)))
        if group and history is not None:
            remarks.update(dict.fromkeys(unused(chosen[0], self._used(group, now - history), now - history)))
        rules = len({rule.name for one in chosen for rule in one.rules})
        return Checked(name, rules, tuple(remarks), tuple(notes))

    def _used(self, group: str, since: datetime) -> frozenset[str]:
        """The rules that judged something on an instance of ``group``."""
        with self._house.store(read_only=True) as store, store.read() as tx:
            members = {row.id for row in tx.instances(group, gone=True)}
            judged = [row.finding.rule for row in tx.findings_since(since) if row.instance_id in members]
            passed = [row.rule for row in tx.explained_since(since) if row.instance_id in members]
        return frozenset((*judged, *passed))

    # --- test and record ---

    def test(self, places: Sequence[Path], policy: Sequence[str]) -> Sequence[Result]:
        load = cache(documents.load_policy)
        results = []
        for file in cases.case_files(places):
            case = cases.load_case(file)
            # Whose policy: the command line's, the case's, its group's, else the default.
            if not policy and not case.policy and case.group in self._house.settings.groups:
                chosen = self._house.policies[case.group]
            else:
                base = file.parent if case.policy and not policy else Path()
                chosen = load(tuple(policy or case.policy or DEFAULT), base)
            results.append(run(case, chosen, self._house.now()))
        return results

    def record(self, directory: Path, targets: Sequence[str], tell: Tell) -> Sequence[tuple[str, Path | None, str]]:
        house = self._house
        made: list[tuple[str, Path | None, str]] = []
        instances = house.find(targets)
        tell("looking", 0, len(instances))
        for look in house.audit(instances, strict=False):
            manifest = house.manifests.for_image(look.instance.image)
            made.append(self._recorded(directory, look, manifest, house.policies[look.instance.group]))
            tell(f"looked at {look.instance.slot or look.instance.id}", len(made), len(instances))
        return sorted(made, key=lambda one: one[0])

    def record_root(
        self, directory: Path, root: Path, manifest: Path, policy: Sequence[str]
    ) -> tuple[str, Path | None, str]:
        names = policy or DEFAULT
        look = self._house.audit_root(root, manifest, names, strict=False)
        return self._recorded(directory, look, documents.load_manifest(manifest), documents.load_policy(names, Path()))

    def _recorded(
        self, directory: Path, look: Look, manifest: Manifest | Unseen, policy: Policy
    ) -> tuple[str, Path | None, str]:
        judgement, instance = look.judgement, look.instance
        if not look.root or judgement.verdict is Verdict.UNKNOWN or isinstance(manifest, Unseen):
            return instance.id, None, judgement.reason
        expecting = {rule.name for rule in policy.for_manifest(manifest).rules if rule.expect is not None}
        name = f"{instance.slot or Path(instance.id).name}-{look.at:%Y%m%dT%H%M%S}"
        kept = cases.Recorded(
            name=name,
            about=f"{instance.id} as it was seen at {look.at:%Y-%m-%d %H:%M:%S} UTC: {judgement.reason}",
            group=instance.group,
            manifest=manifest,
            asked_paths=[
                glob.text.encode("utf-8", "surrogateescape")
                for pack in policy.packs
                for glob in pack.when.paths
                if glob.plain
            ],
            verdict=judgement.verdict,
            findings=judgement.findings,
            explained=judgement.explained,
            broken=frozenset(_key(one) for one in judgement.findings if one.rule in expecting),
        )
        return instance.id, cases.write_case(directory, kept), judgement.verdict.value

    # --- simulate ---

    def simulate(self, policy: Sequence[str], since: timedelta, group: str, tell: Tell) -> Simulation:
        house, now = self._house, self._house.now()
        if group:
            house.settings.group(group)
        tried = documents.load_policy(policy, Path()) if policy else None
        notes = [say.WITHOUT_EVIDENCE, say.NOT_KEPT]
        with house.store(read_only=True) as store, store.read() as tx:
            kept = _Kept(
                tx.instances(group or None, gone=True),
                tx.findings_since(now - since),
                tx.explained_since(now - since),
                tuple(tx.suppressions(now)),
            )
        made = simulate(self._past(kept, tried, notes, tell), now - since, now)
        return replace(made, notes=tuple(_once(notes)))

    def _past(self, kept: _Kept, tried: Policy | None, notes: list[str], tell: Tell) -> Iterator[Past]:
        """What the store has of each instance, one by one; what cannot be said of it goes to ``notes``."""
        of_image = cache(self._manifest)
        for done, row in enumerate(kept.rows):
            tell(f"replaying {row.id}", done, len(kept.rows))
            own = tried or self._house.policies.get(row.group)
            if own is None:
                notes.append(say.no_policy(row.id, row.group))
                continue
            manifest = of_image(row.image)
            if isinstance(manifest, Unseen):
                notes.append(say.no_image(row.id, manifest.reason))
            yield Past(
                row=row,
                findings=tuple(one for one in kept.found if one.instance_id == row.id),
                explained=tuple(one for one in kept.explained if one.instance_id == row.id),
                policy=own if isinstance(manifest, Unseen) else self._of(own, manifest),
                replaces=self._replaces(row, manifest),
                classes={} if isinstance(manifest, Unseen) else manifest.classes,
                suppressions=kept.suppressions,
            )

    def _manifest(self, image: str) -> Manifest | Unseen:
        return self._house.manifests.for_image(image)

    def _of(self, policy: Policy, manifest: Manifest) -> Policy:
        """The policy for one image, with what was learnt of it."""
        overlay = self._house.calibrating().overlays.for_manifest(manifest)
        return (policy.with_overlay(overlay) if isinstance(overlay, Pack) else policy).for_manifest(manifest)

    def _replaces(self, row: InstanceRow, manifest: Manifest | Unseen) -> bool:
        configured = self._house.settings.groups.get(row.group)
        vouched = isinstance(manifest, Manifest) and manifest.enforceable
        return bool(configured and configured.enforce is Enforce.REPLACE and vouched)

    def schema(self) -> Mapping[str, object]:
        return documents.policy_schema()


def _key(finding: Finding) -> tuple[str, bytes, str]:
    return finding.kind, finding.subject, str(finding.change)


def _once(notes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(notes))
