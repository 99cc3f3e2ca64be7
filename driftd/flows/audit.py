"""Audit: look at one instance, hold it against its image's manifest, judge what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.core import drift, sessions, wording
from driftd.core.facts import Instance, InstanceState, Session, Unseen
from driftd.core.findings import Action, Judgement, Verdict, capped
from driftd.core.fingerprint import Fingerprint
from driftd.core.globs import protected
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.memory import Suppression
from driftd.core.policy import Policy, judge
from driftd.core.ports import Looker, Manifests
from driftd.core.sessions import Visit

Visits = Callable[[], Sequence[Visit]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What an instance is judged by. ``strict`` switches off all that lets something pass."""

    policy: Policy
    suppressions: Sequence[Suppression] = ()
    strict: bool = False


def audit(
    instance: Instance,
    looker: Looker,
    manifests: Manifests,
    rules: Rules,
    visits: Visits,
    clock: Callable[[], datetime],
    *,
    deadline_s: float = 300.0,
) -> Look:
    """One look at one instance. Never raises for what an instance is or does: that is UNKNOWN, with the reason.

    ``visits`` gives those that the store has of this instance (none for an ad hoc look); this look's own is added here.
    They are asked for after the look: a second look that began meanwhile is driftd's own, too.
    """
    started = clock()
    seen = _see(instance, looker, manifests, deadline_s)
    ended = clock()
    look = Look(
        instance=instance,
        at=started,
        duration_s=max(0.0, (ended - started).total_seconds()),
        judgement=Judgement(Verdict.UNKNOWN, seen.reason if isinstance(seen, Unseen) else ""),
    )
    if isinstance(seen, Unseen):
        return replace(look, hint=seen.hint)
    manifest, fingerprint = seen
    visit = Visit(looker.own_key(instance), started, ended)
    split = sessions.split(fingerprint.sessions, [*visits(), visit], ended, born=_born(instance, fingerprint))
    return replace(
        look,
        judgement=_judge(
            instance, manifest, fingerprint, split.others, rules, ended, blind=_blind(fingerprint.sessions)
        ),
        root=fingerprint.root,
        coverage=fingerprint.coverage,
        others=split.others,
        own=split.own,
        boot_id=fingerprint.boot_id,
    )


def _see(
    instance: Instance, looker: Looker, manifests: Manifests, deadline_s: float
) -> tuple[Manifest, Fingerprint] | Unseen:
    """The manifest first: without one, nothing could be said of what a look brings."""
    if instance.state is not InstanceState.RUNNING:
        return Unseen(wording.not_running(instance.state))
    if not instance.image:
        return Unseen(wording.no_image(instance.id), wording.bake_hint("IMAGE"))
    manifest = manifests.for_image(instance.image)
    if isinstance(manifest, Unseen):
        return manifest
    if manifest.image != instance.image:
        return Unseen(wording.other_manifest("what was found", manifest.image, instance.image))
    fingerprint = looker.look(instance, deadline_s=deadline_s)
    return fingerprint if isinstance(fingerprint, Unseen) else (manifest, fingerprint)


def _born(instance: Instance, fingerprint: Fingerprint) -> datetime | None:
    """What is logged before this came with the image. After a restart the launch is the earlier of the two."""
    known = [moment for moment in (instance.launched_at, fingerprint.booted_at) if moment is not None]
    return min(known, default=None)


def _judge(
    instance: Instance,
    manifest: Manifest,
    fingerprint: Fingerprint,
    others: Sequence[Session],
    rules: Rules,
    now: datetime,
    *,
    blind: bool,
) -> Judgement:
    found = (*drift.compare(manifest, fingerprint), *sessions.differences(others))
    judgement = judge(
        found,
        rules.policy,
        rules.suppressions,
        now,
        group=instance.group,
        image=manifest.image,
        strict=rules.strict,
    )
    if manifest.provisional:
        # Good for looking; nothing is replaced on the word of a server that nobody vouched for.
        judgement = replace(judgement, action=capped(judgement.action, Action.ALERT))
    return _qualified(judgement, manifest, fingerprint, blind=blind)


def _blind(sessions: Sequence[Session]) -> bool:
    """Whether the instance's log lacks the very visit that it was looked at by, and so may lack any other."""
    return any(one.ancestor and not {"log", "journal"} & set(one.evidence.split("+")) for one in sessions)


def _qualified(judgement: Judgement, manifest: Manifest, fingerprint: Fingerprint, *, blind: bool) -> Judgement:
    """What the look did not cover stands in the reason; what it had to cover and did not leaves it UNKNOWN."""
    said = [judgement.reason]
    hidden = [path for path in drift.hidden(manifest, fingerprint) if protected(path)]
    above = [
        cover
        for cover in (*fingerprint.covered, *fingerprint.mounted)
        # A file system that was not looked at is as blind a spot where nothing was baked beneath it.
        if (cover in fingerprint.mounted and protected(cover))
        or any(path == cover or path.startswith(cover + b"/") for path in hidden)
    ]
    if above:
        said.append(wording.hidden(len(hidden), [wording.shown(cover) for cover in above]))
    if blind:
        said.append(wording.NO_LOGINS)
    if len(said) > 1 and judgement.verdict in (Verdict.CLEAN, Verdict.EXPLAINED):
        said.append(said.pop(0))
        judgement = replace(judgement, verdict=Verdict.UNKNOWN)
    if fingerprint.coverage.unreadable:
        said.append(wording.unread(fingerprint.coverage.unreadable))
    said.extend(wording.kept(one.kind, one.how, one.why) for one in fingerprint.kept)
    if manifest.provisional:
        said.append(wording.PROVISIONAL)
    return replace(judgement, reason="; ".join(said))
