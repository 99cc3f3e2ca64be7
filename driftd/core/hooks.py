"""Hooks: what a group's owner has to say or do at certain moments of a replacement, and what follows when that fails.

``Hooks`` is the port: commands and HTTP calls implement it, so may anything else (``driftd.testing.HooksContract``).
``Terms`` are the declared outcome of one; core/steps/hooking.py decides by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from driftd.core.errors import Unavailable
from driftd.core.facts import Instance, Unseen


class HookName(StrEnum):
    """What a group may have a hook for.

    QUIESCE: stop writing, sync and let go of the data volumes. STEP_DOWN: hand leadership over. SERVE: start the
    service (again). QUORUM is asked, and changes nothing. PRE_DRAIN: the old one is about to be drained. POST_ATTACH:
    the newcomer has what the slot owns; where that is nothing, it is enrolled. PRE_TERMINATE: the old one is about to
    be ended for good.
    """

    QUIESCE = "quiesce"
    STEP_DOWN = "step_down"
    SERVE = "serve"
    QUORUM = "quorum"
    PRE_DRAIN = "pre_drain"
    POST_ATTACH = "post_attach"
    PRE_TERMINATE = "pre_terminate"


CALLED_ONCE = frozenset({HookName.PRE_DRAIN, HookName.POST_ATTACH, HookName.PRE_TERMINATE})
"""Those that are called once in a replacement, whatever the slot owns."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """A hook was begun and is not done: ``why`` in one sentence, and in how many seconds to ask again (0: unsaid)."""

    why: str
    after_s: float = 0.0


class Hooks(Protocol):
    """What only a group's owner knows how to do. Whoever writes a hook promises that running it again is harmless."""

    def has(self, name: HookName) -> bool:
        """The group has such a hook."""
        ...

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str | NotYet:
        """Why it is not done, in one sentence; "" when it is, or there is no such hook; ``NotYet`` while it is being
        done, and the same call asks again. Never raises for what it did.

        ``facts`` says more of the occasion, by names as in ``rid``: the hook may read them.
        """
        ...

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """What the hook answered, at most 1 MiB, to be read with suspicion; ``Unseen`` when it has no answer."""
        ...


class Underway(Unavailable):
    """A hook is being done, and no failure. ``after_s`` is in how many seconds to ask again, 0 when unsaid."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class OnFailure(StrEnum):
    """What follows when a hook fails and its time is over.

    ABORT: the replacement is undone. CONTINUE: it goes on without, which the journal notes. HOLD: it stays where it is
    and asks again, until the hook is done or somebody cancels.
    """

    ABORT = "abort"
    CONTINUE = "continue"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is declared of the hook ``name``. It is asked again for as long as ``within``, from its first call on."""

    name: str = ""
    on_failure: OnFailure = OnFailure.ABORT
    within: timedelta = timedelta(minutes=2)


class Told(StrEnum):
    """How far a hook is, as a record keeps it: announced, done, or failed for good (and then passed over, if it may).

    What is announced may have been done already: driftd may have died before it knew.
    """

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"
    PASSED = "passed"
