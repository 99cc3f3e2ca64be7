"""What a look is told of the past: the marks that earlier looks left in the store, and who has the same identity."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.core import identity
from driftd.core.facts import Instance
from driftd.core.findings import Verdict
from driftd.core.glance.ages import may_be_glanced_at
from driftd.core.looks import Look
from driftd.core.marks import NO_PAST, Past, Twin
from driftd.core.memory import Store, Suppression, Tx
from driftd.core.policy import joined, judge
from driftd.core.rollout import Choice, Rollout
from driftd.core.seal import SeenManifest
from driftd.core.taint import same_one
from driftd.flows.audit import Rules


@dataclass
class Run:
    """The identities that the looks of one run have seen so far, beside those in the store."""

    _seen: dict[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def twins(self, instance_id: str, identities: Mapping[bytes, bytes]) -> list[Twin]:
        """Take note of these, and say which others of the run have one of them."""
        with self._lock:
            self._seen[instance_id] = identities
            return [
                Twin(other, path)
                for other, theirs in self._seen.items()
                if other != instance_id
                for path in theirs.keys() & identities.keys()
                if theirs[path] == identities[path]
            ]

    def completed(self, looks: Iterable[Look], rules: Callable[[str], Rules]) -> Iterator[Look]:
        """The looks of the run, those of the earlier ones with what only a later one showed to be shared.

        ``rules`` are those of a group, by which the looks were judged.
        """
        for look in list(looks):
            told = {one.subject for one in look.judgement.findings if one.kind == identity.KIND}
            mine = {path: digest for path, digest in look.identities.items() if path not in told}
            found = identity.doubled(mine, self.twins(look.instance.id, look.identities))
            by, group = rules(look.instance.group), look.instance.group
            more = judge(found, by.policy, by.suppressions, look.at, group=group, strict=by.strict)
            yield replace(look, judgement=joined(look.judgement, more)) if found else look


@dataclass(frozen=True, slots=True)
class Known:
    """What the store has of an instance before a look at it, read at one moment.

    ``glance`` says that what the last look left is good enough to look by, ``manifest`` which one of its image was seen
    last, ``chosen`` and ``rollouts`` what its group is to run (core/imagedrift.py).
    """

    suppressions: Sequence[Suppression] = ()
    past: Past = NO_PAST
    glance: bool = False
    manifest: SeenManifest | None = None
    chosen: Sequence[Choice] = ()
    rollouts: Sequence[Rollout] = ()


def known(store: Store, instance: Instance, now: datetime, run: Run | None = None) -> Known:
    """All of it."""
    with store.read() as tx:
        return Known(
            tx.suppressions(now),
            _past(tx, store, instance, run),
            may_be_glanced_at(
                tx.instance(instance.id), tx.open_replacements(instance.group), tx.open_findings(instance.id)
            ),
            tx.manifest_seen(instance.image),
            tx.choices(instance.group),
            tx.open_rollouts(instance.group),
        )


def past(store: Store, instance: Instance) -> Past:
    """The past of ``instance``. One that was made anew from another image has no marks."""
    with store.read() as tx:
        return _past(tx, store, instance, None)


def _past(tx: Tx, store: Store, instance: Instance, run: Run | None) -> Past:
    row = tx.instance(instance.id)
    same = row is not None and row.image == instance.image
    marks = {mark.path: mark for mark in tx.marks(instance.id)} if same else {}
    others = [one.session for one in tx.sessions(instance.id) if not one.own]
    kept = tx.attributions(instance.id)
    attributed = {one.finding.signature: kept[one.id] for one in tx.open_findings(instance.id) if one.id in kept}

    def twins(identities: Mapping[bytes, bytes]) -> tuple[Twin, ...]:
        if not identities:
            return ()
        with store.read() as later:
            others = set(later.twins(instance.id, identities))
        return tuple(others.union(run.twins(instance.id, identities) if run else ()))

    kinds = {same_one(session): session.kind for session in others if session.kind}
    saw = row.looked_at if row is not None and row.verdict is not Verdict.UNKNOWN else None
    return Past(marks, twins, kinds, others, saw, attributed, row.boot_id if row is not None and same else "")
