"""Pressing: a button under a message does what the command line would, by the name of who pressed it, and once.

Nobody's click does anything that ``driftd approve``, ``deny``, ``hold`` or ``accept`` would refuse to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from driftd.core.acceptance import USUAL
from driftd.core.cards import Press
from driftd.core.clicks import Click, refused
from driftd.core.errors import BadInput
from driftd.core.memory import Store
from driftd.core.wording import clicks as wording
from driftd.flows import accepting, holding

HOLD = timedelta(hours=2)


class Presser:
    """Takes clicks of one outlet. ``may`` says who may press what there."""

    def __init__(
        self, store: Store, outlet: str, may: Mapping[Press, frozenset[str]], *, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._may = may
        self._clock = clock

    def press(self, click: Click) -> str:
        """What is so now, in a sentence for who clicked. Raises DriftdError where the store cannot be used."""
        now = self._clock()
        if why := refused(click, self._may, now):
            return why
        with self._store.write() as tx:
            if not tx.add_click(f"{self._outlet}/{click.id}", click.by, click.press.value, now):
                return wording.AGAIN
            shown = [one for one in tx.incidents(self._outlet) if (one.ref, one.key) == (click.ref, click.key)]
        if not shown:
            return wording.OVER
        try:
            return self._do(click, now)
        except BadInput as error:
            return str(error)

    def _do(self, click: Click, now: datetime) -> str:
        if click.press is Press.APPROVE:
            return holding.approve(self._store, click.of, click.by, now)
        if click.press is Press.DENY:
            return holding.deny(self._store, click.of, click.by, wording.REASON, now)
        if already := self._already(click, now):
            return already
        if click.press is Press.HOLD:
            return holding.hold(self._store, click.of, click.by, wording.REASON, HOLD, now)
        return accepting.accept(self._store, click.of, click.group, click.by, wording.REASON, USUAL, now).said

    def _already(self, click: Click, now: datetime) -> str:
        """Somebody else, or the same person, was quicker."""
        with self._store.read() as tx:
            held = next((one for one in tx.holds(now) if one.instance_id == click.of), None)
            same = [one for one in tx.suppressions(now) if one.signature == click.of and one.group in ("", click.group)]
        if click.press is Press.HOLD:
            return wording.held_already(held.instance_id, held.owner, held.until) if held else ""
        return wording.accepted_already(same[0].owner, same[0].expires_at) if same else ""
