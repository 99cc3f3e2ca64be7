"""Capture: keep evidence of an instance, from one look that asks for more than judging needs, and from the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from ulid import ULID

from driftd.core.asides import RootCopying
from driftd.core.asking import Speaking
from driftd.core.asks import Ask
from driftd.core.custody import bundle, wanted
from driftd.core.custody.bundle import Occasion, Remembered, Seen
from driftd.core.custody.ledger import SUBJECT, Kept, ledger
from driftd.core.custody.terms import Place, Root, Terms
from driftd.core.custody.wanted import Want
from driftd.core.difference import Difference
from driftd.core.errors import DriftdError, ProviderError, Refused, Unavailable
from driftd.core.facts import Instance
from driftd.core.fingerprint import Fingerprint
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.policy import Policy
from driftd.core.replacement import Record
from driftd.core.wording import custody as wording
from driftd.core.wording import printable
from driftd.flows.groups import Group

# Keeps evidence of the old one for a replacement; the bundle's id. Raises ``ProviderError``.
Capture = Callable[[Group, Record, Instance], str]

DRIFTD = "driftd"
LOOKS = 3  # that are tried before a bundle is made of what the store knows


def no_capture(_group: Group, _record: Record, _instance: Instance) -> str:
    """Where nobody keeps evidence."""
    raise Refused("this driftd keeps no evidence")


class Taking:
    """``driftd.flows.audit.Besides``: asks for contents and processes, and keeps what came."""

    def __init__(self, terms: Terms, clock: Callable[[], datetime]) -> None:
        self._terms = terms
        self._clock = clock
        self._wants: tuple[Want, ...] = ()
        self._left_out = 0
        self._fingerprint: Fingerprint | None = None

    def asks(self, found: Sequence[Difference], fingerprint: Fingerprint, policy: Policy) -> Sequence[Ask]:
        """See ``Besides.asks``."""
        now = self._clock()
        speaking = Speaking([rule for rule in policy.rules if not rule.expired(now)])
        passing = {one.subject for one in found if (rule := speaking.of(one)) is not None and rule.passes}
        self._wants, self._left_out = wanted.wanted(found, fingerprint, policy.shows, self._terms, passing)
        return [*wanted.PROCESSES, *(ask for want in self._wants for ask in want.asks)]

    def saw(self, fingerprint: Fingerprint) -> None:
        """See ``Besides.saw``."""
        self._fingerprint = fingerprint

    def seen(self, look: Look) -> Seen:
        """All of it, with the look as it was judged."""
        if self._fingerprint is None:
            return Seen(look, reached=False, unlisted="the instance could not be seen")
        answers = self._fingerprint.answers
        listed, why = wanted.processes(answers)
        files = [wanted.taken(want, answers) for want in self._wants]
        return Seen(look, reached=True, files=files, left_out=self._left_out, processes=listed, unlisted=why)


def copied(group: Group, occasion: Occasion) -> Root:
    """A copy of the instance's root volume, made once for a bundle; why not, where there is none."""
    if not group.evidence.root:
        return Root(why="evidence.root is off")
    if not isinstance(group.provider, RootCopying):
        return Root(why=f"provider {group.provider.name} copies no root volumes")
    try:
        return Root(group.provider.copy_root(occasion.instance.id, f"evidence-{occasion.id}", occasion.until).id)
    except ProviderError as error:
        return Root(why=printable(str(error)))


def uncopied(group: Group, root: Root) -> None:
    """Without it, if the provider goes along."""
    if root.id and isinstance(group.provider, RootCopying):
        with suppress(ProviderError):
            group.provider.delete_root_copy(root.id)


class Capturer:
    """Keeps evidence. ``see`` looks at an instance, with a visit open, and asks for what ``Taking`` wants besides."""

    def __init__(
        self,
        store: Store,
        place: Place,
        see: Callable[[Instance, Taking], Look],
        *,
        clock: Callable[[], datetime],
        generator: str,
    ) -> None:
        self._store = store
        self._place = place
        self._see = see
        self._clock = clock
        self._generator = generator

    def __call__(self, group: Group, record: Record, instance: Instance) -> str:
        """``Capture``. The bundle has the replacement's id, so that a second call after a crash makes no other one.

        Raises ``Unavailable`` for an instance that cannot be looked at, until it was tried often enough; ``Refused``
        where there is no room.
        """
        with self._store.read() as tx:
            known = ledger(tx.journal_lines(SUBJECT)).get(record.rid)
        if known is not None and not known.gone:
            return known.id
        taking = Taking(group.evidence, self._clock)
        seen = taking.seen(self._see(instance, taking))
        if not seen.reached and record.tries + 1 < LOOKS:
            raise Unavailable(wording.unseen(seen.look.judgement.reason))
        occasion = self._occasion(record.rid, instance, record.why, DRIFTD, group.evidence, record.rid)
        return self._keep(group, occasion, seen).id

    def by_hand(self, group: Group, instance: Instance, because: str, person: str) -> Kept:
        """Evidence of a running instance, for a person. Raises ``Unavailable`` where it cannot be seen, ``Refused``."""
        taking = Taking(group.evidence, self._clock)
        seen = taking.seen(self._see(instance, taking))
        if not seen.reached:
            look = seen.look
            raise Unavailable(f"{instance.id} could not be looked at: {look.judgement.reason}", look.hint)
        bundle_id = str(ULID.from_datetime(self._clock()))
        return self._keep(group, self._occasion(bundle_id, instance, because, person, group.evidence), seen)

    def _occasion(
        self, bundle_id: str, instance: Instance, because: str, by: str, terms: Terms, replacement: str = ""
    ) -> Occasion:
        at = self._clock().replace(microsecond=0)
        return Occasion(bundle_id, instance, at, printable(because), by, terms, self._generator, replacement)

    def _keep(self, group: Group, occasion: Occasion, seen: Seen) -> Kept:
        """The file first: what the journal says is there, is there."""
        known = self._known(occasion)
        seen = replace(seen, root=copied(group, occasion))
        members = bundle.compose(occasion, seen, known)
        try:
            held = self._place.keep(occasion.id, members, occasion.at)
        except DriftdError:
            # Of a copy that no bundle names nobody would ever hear, and it would take the room that was wanted.
            uncopied(group, seen.root)
            raise
        made = bundle.kept(occasion, seen, known, members, held)
        with self._store.write() as tx:
            tx.journal("observation" if occasion.by == DRIFTD else "human", SUBJECT, made.body(), self._clock())
        return made

    def _known(self, occasion: Occasion) -> Remembered:
        instance = occasion.instance.id
        with self._store.read() as tx:
            lines = [*tx.journal_lines(instance), *(tx.journal_lines(occasion.replacement or occasion.id))]
            return Remembered(
                tx.instance(instance),
                tx.open_findings(instance),
                tx.sessions(instance),
                sorted(lines, key=lambda line: line.seq),
            )
