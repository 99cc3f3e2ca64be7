"""Answers: what a group does about sessions, by what they were for. A group's setting becomes rules like any others.

``sessions: {interactive: replace}`` of a group is short for a policy document with a rule a kind, asked after the
group's own documents and before what is learnt and shipped. So who wants to tell doors, people and addresses apart
writes a rule (``match: session``), which has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from driftd.core import confidence, globs
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action
from driftd.core.packs import Pack
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule
from driftd.core.sessions import differences

UNKNOWN = ""  # what a session was for that nobody can tell any more
KINDS = tuple(kind for kind in reversed(confidence.KINDS) if kind != UNKNOWN)
CLOUD = "cloud"  # the door of what the provider itself lets people in by
SERVICE = "service"  # the door of cron and of services' accounts: nobody was there
DEFAULT = Action.OBSERVE

_IS_NO_PERSON = "Cron and the accounts of services begin sessions of their own; nobody was there."
_WORDS = {
    Action.OBSERVE: "is noted, and nobody is told",
    Action.ALERT: "is told to people, and nothing is done",
    Action.REPLACE: "has the server replaced, once people have left it",
    Action.QUARANTINE: "has the server replaced, once people have left it, and the old one kept in quarantine",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a group was set to do: ``by_kind`` for each kind that is named, ``rest`` for all others (None: not said)."""

    by_kind: Mapping[str, Action] = field(default_factory=dict)
    rest: Action | None = None

    def __bool__(self) -> bool:
        return bool(self.by_kind) or self.rest is not None

    def of(self, kind: str) -> Action:
        """The answer to a session of ``kind``. Of an unknown kind it is the strictest that any kind has.

        Who was there may have removed the line that would tell, and must not fare better by it.
        """
        if kind == UNKNOWN:
            return max((self.of(one) for one in KINDS), key=lambda action: action.rank)
        return self.by_kind.get(kind) or self.rest or DEFAULT

    @property
    def strictest(self) -> Action:
        """The most that any session asks for by this."""
        return self.of(UNKNOWN)


def pack_of(group: str, answers: Answers) -> Pack | None:
    """The rules that a group's setting amounts to; None where it says nothing, and the packs decide."""
    if not answers:
        return None
    name = f"{group}.sessions"
    rules = [_rule(name, group, "services", {"door": SERVICE}, Action.EXPLAIN, _IS_NO_PERSON)]
    for kind in KINDS:
        if answers.rest is not None or kind in answers.by_kind:
            action = answers.of(kind)
            why = f"groups.{group}.sessions says of sessions of kind {kind}: each {_WORDS[action]}."
            rules.append(_rule(name, group, kind, {"kind": kind}, action, why))
    action = answers.of(UNKNOWN)
    why = (
        f"What it was for cannot be told, so that it is answered as the strictest kind in groups.{group}.sessions: "
        f"each {_WORDS[action]}."
    )
    rules.append(_rule(name, group, "unknown", {"kind": UNKNOWN}, action, why))
    return Pack(name=name, rules=tuple(rules), own=True)


def answered(policy: Policy, now: datetime) -> Answers:
    """What a policy does about somebody of whom nothing is known but what a session over SSH was for."""
    said: dict[str, Action] = {}
    for kind in KINDS:
        judged = judge(differences([Session("ssh", "", "", now, kind=kind)]), policy, (), now)
        found = (*judged.findings, *judged.explained)
        said[kind] = found[0].action if found else Action.IGNORE
    return Answers(said)


def _rule(pack: str, group: str, name: str, session: Mapping[str, str], action: Action, because: str) -> Rule:
    match = Match(
        kinds=frozenset({"session"}),
        changes=frozenset({Change.ADDED}),
        session={key: (globs.word(value),) for key, value in session.items()},
    )
    where = f"groups.{group}.sessions.{name}"
    return Rule(pack=pack, id=name, match=match, because=because, where=where, action=action)
