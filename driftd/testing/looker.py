"""A looker in memory: it sees what it is given, and answers what is asked as the probe would."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from driftd.core import asks
from driftd.core.asks import Answer
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.probe.asks import Answerer


class FakeLooker:
    """``driftd.core.ports.Looker``. ``seen`` is what a look at each instance sees, by its id.

    ``roots`` are directories that hold an instance's tree, where what is asked about its files is looked up; an
    instance without one cannot be asked. ``looked`` are the ids of the instances that were looked at, in order.
    """

    def __init__(
        self, seen: Mapping[str, Fingerprint | Unseen], roots: Mapping[str, Path] | None = None, key: str = ""
    ) -> None:
        self.seen = dict(seen)
        self.roots = dict(roots or {})
        self.key = key
        self.looked: list[str] = []

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,  # noqa: ARG002  # the port's signature
        key: DigestKey | None = None,  # noqa: ARG002  # the port's signature
        ask: AskFor | None = None,
        image: Interned | None = None,  # noqa: ARG002  # likewise: what is seen here is whole
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        self.looked.append(instance.id)
        seen = self.seen.get(instance.id, Unseen(f"nobody said what a look at {instance.id} sees", "say it"))
        root = self.roots.get(instance.id)
        if isinstance(seen, Unseen) or ask is None or root is None:
            return seen
        answerer = Answerer(os.fsencode(root))
        found = {}
        for one in asks.bounded(ask(seen)):
            made = answerer.answer(one.path, one.what.encode(), one.argument)
            how, why = made.how.decode(), made.why.decode("utf-8", "backslashreplace")
            found[one] = Answer(how, why, bool(made.yes), *made[3:])
        return replace(seen, answers=found)

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """The same for every instance."""
        return self.key
