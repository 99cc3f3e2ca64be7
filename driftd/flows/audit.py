"""Audit: look at one instance, hold it against its image's manifest, judge what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from driftd.core import (
    attribution,
    drift,
    factual,
    identity,
    imagedrift,
    sessions,
    trails,
    transactions,
    whose,
    wording,
)
from driftd.core.asking import Speaking, asks_for, departed, remember
from driftd.core.asks import Ask
from driftd.core.attributed import Attribution
from driftd.core.causes.board import Books
from driftd.core.difference import Difference
from driftd.core.digestkey import DigestKey
from driftd.core.evidence import Evidence
from driftd.core.facts import CUT_SHORT, Coverage, Instance, InstanceState, Session, Unseen
from driftd.core.findings import Action, Judgement, Verdict, capped
from driftd.core.fingerprint import Fingerprint
from driftd.core.globs import protected
from driftd.core.imagedrift import Wanted
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.marks import NO_PAST, Past
from driftd.core.memory import Suppression
from driftd.core.policy import Policy, judge
from driftd.core.ports import DigestKeys, Looker, Manifests, Overlays
from driftd.core.reconcile import reconcile, unwritten
from driftd.core.taint import recalled
from driftd.core.transactions import books
from driftd.core.transactions.contents import PackageSource
from driftd.core.transactions.origins import traced
from driftd.core.whose import Visit
from driftd.core.wording import evidenced, printable, trust
from driftd.core.wording import visits as visiting
from driftd.flows.doorman import LetIn, let_in
from driftd.flows.showing import Showing, cosmetic

Visits = Callable[[], Sequence[Visit]]


class Besides(Protocol):
    """What a look is asked beside what judging needs, and who is told all that it brought."""

    def asks(self, found: Sequence[Difference], fingerprint: Fingerprint, policy: Policy) -> Sequence[Ask]: ...

    def saw(self, fingerprint: Fingerprint) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What an instance is judged by. ``strict`` switches off all that lets something pass.

    ``overlays`` gives what was learnt of the instance's image; None when nothing of it is to be asked. ``showing``
    shows what changed files say; None when nothing is to be shown. ``packages`` is where packages are verified.
    ``besides`` asks for more than judging needs.
    """

    policy: Policy
    suppressions: Sequence[Suppression] = ()
    strict: bool = False
    overlays: Overlays | None = None
    showing: Showing | None = None
    packages: PackageSource | None = None
    besides: Besides | None = None

    def of(self, manifest: Manifest) -> Rules | Unseen:
        """The rules for instances of one image: with what was learnt of it, and with the packs that it calls for."""
        overlay = self.overlays.for_manifest(manifest) if self.overlays and not self.strict else None
        if isinstance(overlay, Unseen):
            return overlay
        policy = self.policy.with_overlay(overlay) if overlay else self.policy
        return replace(self, policy=policy.for_manifest(manifest))

    def texts(self, manifest: Manifest) -> Mapping[bytes, bytes]:
        """What bake kept of what showable files say, by path."""
        baked = self.showing.baked(manifest) if self.showing else {}
        return {path: one.text for path, one in baked.items()}

    def speaking(self, manifest: Manifest, now: datetime) -> Speaking:
        """Which rule speaks of what, for an image that these are the rules of; none of them when strict."""
        if self.strict:
            return Speaking(())
        return Speaking([rule for rule in self.policy.rules if not rule.expired(now)], manifest.classes)


def audit(
    instance: Instance,
    looker: Looker,
    manifests: Manifests,
    rules: Rules,
    visits: Visits,
    clock: Callable[[], datetime],
    *,
    keys: DigestKeys | None = None,
    deadline_s: float = 300.0,
    past: Past = NO_PAST,
    provider: object = None,
    wanted: Wanted | None = None,
) -> Look:
    """One look at one instance. Never raises for what an instance is or does: that is UNKNOWN, with the reason.

    ``visits`` gives those that the store has of this instance (none for an ad hoc look); this look's own is added here.
    They are asked for after the look: a second look that began meanwhile is driftd's own, too. ``past`` is what earlier
    looks left; without it everything is held against the image alone. ``provider`` is asked whom it let in itself.
    ``wanted`` is what its group is to run; without it, whatever it runs is right.
    """
    started = clock()
    seen = _see(instance, looker, manifests, rules, keys, deadline_s, past, started)
    ended = clock()
    look = Look(
        instance=instance,
        at=started,
        duration_s=max(0.0, (ended - started).total_seconds()),
        judgement=Judgement(Verdict.UNKNOWN, seen.reason if isinstance(seen, Unseen) else ""),
    )
    if isinstance(seen, Unseen):
        return replace(look, hint=seen.hint)
    manifest, fingerprint, rules, keyless = seen.manifest, seen.fingerprint, seen.rules, seen.keyless
    trace = instance.reach.visit.trace if instance.reach.visit else None
    visit = Visit(looker.own_key(instance), started, ended, trace=trace)
    before = visits()
    fingerprint, split, unsure = _company(instance, fingerprint, visit, before, past, let_in(provider, instance, ended))
    evidence = Evidence.of(manifest, fingerprint, past.marks, started, _born(instance, fingerprint))
    own = identity.identities(fingerprint.entries)
    found = (
        *seen.found,
        *_departed(seen.found, rules, evidence),
        *identity.shared(manifest, fingerprint, past.twins(own)),
        *sessions.differences(split.others),
        *_lost(fingerprint, before, ended),
        *unwritten(split.others, split.own, fingerprint.readings),
        *(imagedrift.differences(instance, wanted) if wanted else ()),
    )
    found = tuple(factual.of_passwords(found, manifest, fingerprint, keyless))
    proof = transactions.gather(manifest, fingerprint, found, rules.packages, lambda: rules.texts(manifest))
    found = traced(found, fingerprint, proof)
    shown = rules.showing.exhibits(manifest, fingerprint, found, rules.policy) if rules.showing else {}
    judgement = _judge(instance, manifest, found, rules, evidence, ended, cosmetic(shown), proof.books)
    return replace(
        look,
        judgement=_qualified(judgement, manifest, fingerprint, [keyless, *unsure]),
        shown=shown,
        root=fingerprint.root,
        extent=fingerprint.extent,
        coverage=_coverage(manifest, fingerprint),
        others=split.others,
        own=split.own,
        boot_id=fingerprint.boot_id,
        enforceable=manifest.enforceable,
        marks=remember(found, judgement, rules.speaking(manifest, started), evidence),
        identities=own if fingerprint.live else {},
        attributions=_attributed(judgement, fingerprint, split, visit, past),
        manifest=manifest,
        policies=rules.policy.names,
    )


def _company(
    instance: Instance, fingerprint: Fingerprint, visit: Visit, before: Sequence[Visit], past: Past, admitted: LetIn
) -> tuple[Fingerprint, whose.Split, Sequence[str]]:
    """Who was there as all sources together tell it, whose session each is, and what makes that unsure (sentences)."""
    mine = [one.made for one in before if one.made is not None]
    told = (*fingerprint.sessions, *whose.strangers(admitted.sessions, [*before, visit]))
    found = reconcile(told, fingerprint.readings, mine, boot_id=fingerprint.boot_id).sessions
    born = _born(_known(instance, past), fingerprint)
    split = whose.split(found, [*before, visit], visit.closed or visit.opened, born=born, this=visit)
    split = replace(split, others=recalled(split.others, past.kinds))
    unsure = _afar(visit, split), admitted.why, _untold(past, fingerprint)
    return replace(fingerprint, sessions=found), split, unsure


def _attributed(
    judgement: Judgement, fingerprint: Fingerprint, split: whose.Split, visit: Visit, past: Past
) -> Mapping[str, Attribution]:
    """What each finding is tied to, by the instance's own clock, as the session shows that the look came by."""
    came = next((one.started_at for one in split.own if one.ancestor), visit.begun)
    ahead = came - visit.begun if abs(came - visit.begun) > whose.SKEW else timedelta(0)
    now, before = attribution.remembered(split.others, past.sessions)
    scene = attribution.Scene(
        until=(visit.closed or visit.opened) + ahead,
        since=past.looked_at + ahead if past.looked_at else None,
        boot=fingerprint.boot_id,
        sessions=now,
        before=before,
        booted_at=fingerprint.booted_at,
        jobs=fingerprint.readings.opened,
        standing=past.attributed,
    )
    return attribution.attribute(judgement.findings, trails.read(fingerprint.answers), scene)


def _let(speaking: Speaking, one: Difference) -> bool:
    """Whether a rule lets it pass without asking anything: nobody asks who did what is meant to be done."""
    rule = speaking.of(one)
    if rule is None or rule.expect is not None:
        return False
    return rule.action is not None and rule.action.rank <= Action.EXPLAIN.rank


def _lost(fingerprint: Fingerprint, before: Sequence[Visit], now: datetime) -> Sequence[Difference]:
    """The newest of driftd's visits that a log told of, and tells of no more."""
    paths = (entry.path for entry in fingerprint.entries)
    return sessions.lost(fingerprint.sessions, before, paths, now, booted_at=fingerprint.booted_at)


def _departed(found: Sequence[Difference], rules: Rules, evidence: Evidence) -> tuple[Difference, ...]:
    """What is no more as an earlier look saw it, unless all that lets something pass is switched off."""
    return () if rules.strict else departed(found, evidence)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A look that saw: by which manifest and rules, what differs, and why secrets could not be compared ("" if so)."""

    manifest: Manifest
    fingerprint: Fingerprint
    rules: Rules
    found: Sequence[Difference]
    keyless: str


def _stated(instance: Instance, manifests: Manifests, rules: Rules) -> tuple[Manifest, Rules] | Unseen:
    """The manifest first, and the rules for its image: without them nothing could be said of what a look brings."""
    if instance.state is not InstanceState.RUNNING:
        return Unseen(wording.not_running(instance.state))
    if not instance.image:
        return Unseen(wording.no_image(instance.id), wording.bake_hint("IMAGE"))
    manifest = manifests.for_image(instance.image)
    if isinstance(manifest, Unseen):
        return manifest
    if manifest.image != instance.image:
        return Unseen(wording.other_manifest("what was found", manifest.image, instance.image))
    of_image = rules.of(manifest)
    return of_image if isinstance(of_image, Unseen) else (manifest, of_image)


def _see(
    instance: Instance,
    looker: Looker,
    manifests: Manifests,
    rules: Rules,
    keys: DigestKeys | None,
    deadline_s: float,
    past: Past,
    now: datetime,
) -> _Seen | Unseen:
    """Look, and ask about what the look brings on the same connection."""
    stated = _stated(instance, manifests, rules)
    if isinstance(stated, Unseen):
        return stated
    manifest, rules = stated
    key, keyless = _key(manifest, keys, instance.reach.means)
    own_key = f"{instance.reach.user} {looker.own_key(instance)}"
    compared: list[tuple[Difference, ...]] = []

    def ask(fingerprint: Fingerprint) -> Sequence[Ask]:
        evidence = Evidence.of(manifest, fingerprint, past.marks, now, _born(instance, fingerprint))
        # Answers change nothing of it: it serves when the look is judged, too.
        compared.append(drift.compare(manifest, fingerprint, own_key))
        found = (*compared[-1], *_departed(compared[-1], rules, evidence))
        speaking = rules.speaking(manifest, now)
        wanted = asks_for(found, speaking, evidence)
        wanted += books.asks(found, fingerprint, rules.policy.shows)
        wanted += rules.showing.asks(found, rules.policy) if rules.showing else []
        wanted += rules.besides.asks(found, fingerprint, rules.policy) if rules.besides else []
        return wanted + trails.asks((one for one in found if not _let(speaking, one)), fingerprint)

    fingerprint = looker.look(_known(instance, past), deadline_s=deadline_s, key=key, ask=ask, image=manifest.tree)
    if isinstance(fingerprint, Unseen):
        return fingerprint
    if rules.besides is not None:
        rules.besides.saw(fingerprint)
    found = compared[-1] if compared else drift.compare(manifest, fingerprint, own_key)
    return _Seen(manifest, fingerprint, rules, found, keyless)


def _key(manifest: Manifest, keys: DigestKeys | None, means: str) -> tuple[DigestKey | None, str]:
    if not manifest.key_id:
        return None, ""
    if means:
        return None, wording.not_compared_secrets(wording.keyless(means)) if factual.secrets(manifest) else ""
    found = keys.known(manifest.image, manifest.key_id) if keys else Unseen(wording.no_digest_key(manifest.key_id))
    if isinstance(found, Unseen):
        return None, wording.not_compared_secrets(found.reason) if factual.secrets(manifest) else ""
    return found, ""


def _coverage(manifest: Manifest, fingerprint: Fingerprint) -> Coverage:
    found = Counter(fact.kind for fact in fingerprint.facts)
    seen = fingerprint.seen_kinds()
    return replace(
        fingerprint.coverage,
        facts={kind: found[kind] for kind in seen},
        kept=fingerprint.kept,
        unbaked=factual.unbaked(manifest, fingerprint),
    )


def _known(instance: Instance, past: Past) -> Instance:
    """Where nobody says when it was launched: it was there at the last look, and what it logged since is its own."""
    if instance.launched_at is not None or not past.boot_id:
        return instance
    return replace(instance, launched_at=past.looked_at)


def _born(instance: Instance, fingerprint: Fingerprint) -> datetime | None:
    """What is logged before this came with the image. After a restart the launch is the earlier of the two."""
    known = [moment for moment in (instance.launched_at, fingerprint.booted_at) if moment is not None]
    return min(known, default=None)


def _judge(
    instance: Instance,
    manifest: Manifest,
    found: Sequence[Difference],
    rules: Rules,
    evidence: Evidence,
    now: datetime,
    harmless: Collection[bytes],
    known: Books,
) -> Judgement:
    judgement = judge(
        found,
        rules.policy,
        rules.suppressions,
        now,
        group=instance.group,
        image=manifest.image,
        strict=rules.strict,
        cosmetic=harmless,
        classes=manifest.classes,
        evidence=evidence,
        books=known,
    )
    if not manifest.enforceable:
        # Good for looking; nothing is replaced on the word of what nobody vouched for.
        judgement = replace(judgement, action=capped(judgement.action, Action.ALERT))
    return judgement


def _blind(sessions: Sequence[Session]) -> bool:
    """Whether the instance's log lacks the very visit that it was looked at by, and so may lack any other."""
    return any(one.ancestor and not {"log", "journal"} & set(one.evidence.split("+")) for one in sessions)


def _afar(visit: Visit, split: whose.Split) -> str:
    """One sentence where addresses are translated, if that weakens what driftd's visits are known by."""
    plain = visit.way is not None and not (visit.way.certified or visit.way.pushed)
    return visiting.translated(printable(split.translated)) if plain and split.translated else ""


def _untold(past: Past, fingerprint: Fingerprint) -> str:
    """One sentence where no log tells who was there between the last look and a boot."""
    known = sessions.untold(past, fingerprint.readings, fingerprint.boot_id, fingerprint.booted_at)
    return visiting.untold(*map(sessions.moment, known)) if known else ""


def _qualified(judgement: Judgement, manifest: Manifest, fingerprint: Fingerprint, beside: Sequence[str]) -> Judgement:
    """What the look did not cover stands in the reason; what it had to cover and did not leaves it UNKNOWN.

    ``beside`` are sentences of what else it lacks, "" where nothing is to be said.
    """
    said = [judgement.reason]
    missed = _missed(manifest, fingerprint)
    if cut := [one for one in judgement.unchecked if one.cut]:
        missed.append(evidenced.cut(len(cut), wording.shown(cut[0].path), cut[0].why))
    if missed:
        if judgement.verdict in (Verdict.CLEAN, Verdict.EXPLAINED):
            judgement = replace(judgement, verdict=Verdict.UNKNOWN)
            said = [*missed, *said]
        else:
            said += missed
    if unsure := [one for one in judgement.unchecked if not one.cut]:
        said.append(evidenced.unsure(len(unsure), wording.shown(unsure[0].path), unsure[0].why))
    if fingerprint.coverage.unreadable:
        said.append(wording.unread(fingerprint.coverage.unreadable))
    if unseen := factual.missed(manifest, fingerprint):
        said.append(wording.kept_kinds(unseen))
    said += [one for one in beside if one]
    if manifest.seal is None:
        said.append(trust.UNSIGNED)
    if manifest.doubtful:
        said.append(wording.PROVISIONAL)
    return replace(judgement, reason="; ".join(said))


def _missed(manifest: Manifest, fingerprint: Fingerprint) -> list[str]:
    """What the look had to cover and did not, as sentences."""
    said = []
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
    if _blind(fingerprint.sessions):
        said.append(wording.NO_LOGINS)
    if unasked := factual.unasked(manifest, fingerprint):
        said.append(wording.not_looked_for(unasked))
    if withheld := [path for path in drift.unread(manifest, fingerprint) if protected(path)]:
        said.append(wording.withheld([wording.shown(path) for path in withheld]))
    # An instance can be made to have too much of something. (A log is long by itself; sessions say what they read.)
    if cut := sorted({one.kind for one in fingerprint.kept if one.how == CUT_SHORT}):
        said.append(wording.cut_short(cut))
    return said
