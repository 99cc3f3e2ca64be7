"""Inquire: a look that asks more than its judge does, and keeps what was seen."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.asks import Ask
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.interned import Interned
from driftd.core.ports import AskFor, Looker


class Inquirer:
    """``Looker`` over another one: every look also asks what ``also`` wants to know; ``seen`` is what came of it."""

    def __init__(self, looker: Looker, also: AskFor) -> None:
        self._looker = looker
        self._also = also
        self.seen: Fingerprint | None = None

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``. What the judge asks comes first, as a look may ask only so much."""

        def both(fingerprint: Fingerprint) -> Sequence[Ask]:
            return [*(ask(fingerprint) if ask else ()), *self._also(fingerprint)]

        seen = self._looker.look(instance, deadline_s=deadline_s, key=key, ask=both, image=image)
        self.seen = None if isinstance(seen, Unseen) else seen
        return seen

    def own_key(self, instance: Instance) -> str:
        """See ``Looker.own_key``."""
        return self._looker.own_key(instance)
