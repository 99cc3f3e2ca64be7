"""Answering: a group's policy with what it was set to do about sessions, and what that amounts to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from driftd.core.answers import KINDS, Answers, answered, pack_of
from driftd.core.errors import BadInput
from driftd.core.findings import Action
from driftd.core.guards.case import GroupRules
from driftd.core.policy import Policy
from driftd.core.wording import holds as said
from driftd.core.wording import motd, near
from driftd.edges import documents
from driftd.flows.following import followed
from driftd.flows.naming import called
from driftd.settingparts import Answer
from driftd.settings import GroupSettings, Settings
from driftd.wiring.guarding import rules_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


def answers_of(group: GroupSettings) -> Answers:
    """What the group does about sessions, as far as its settings say it."""
    said = {kind: _action(answer) for kind in KINDS if (answer := getattr(group.sessions, kind)) is not None}
    return Answers(said, None if group.sessions.any is None else _action(group.sessions.any))


def _action(answer: Answer) -> Action:
    return Action(answer.value)


def policy_of(settings: Settings, name: str) -> Policy:
    """The policy of the group ``name``. Raises BadInput."""
    group = settings.group(name)
    return documents.load_policy(group.policy, settings.base).with_answers(pack_of(name, answers_of(group)))


def digest_of(settings: Settings, name: str, digits: int = 12) -> str:
    """Of what that policy was read from, so many digits: another one is other rules. Raises BadInput."""
    group = settings.group(name)
    read, answers = documents.digest_of(group.policy, settings.base)[:digits], answers_of(group)
    said = [f"{kind}={action}" for kind, action in sorted(answers.by_kind.items())]
    return ",".join([read, *said, *([f"any={answers.rest}"] if answers.rest is not None else [])])


def sha256_of(settings: Settings, name: str) -> str:
    """The same for strangers, who compare it with nothing else: 64 hexadecimal digits."""
    return hashlib.sha256(digest_of(settings, name, digits=64).encode()).hexdigest()


def rules_by_group(settings: Settings) -> Mapping[str, GroupRules]:
    """What each group allows."""
    return {name: rules_of(settings, name, group) for name, group in settings.groups.items()}


def motd_of(house: WiredHouse, name: str) -> str:
    """What a person reads at login: of a group by its name, else of an instance. Raises BadInput for neither."""
    now, rules = house.now(), rules_by_group(house.settings)
    if name in rules:
        return motd.of_group(name, answered(house.policies[name], now), rules[name])
    with house.store(read_only=True) as store, store.read() as tx:
        rows = [row for row in tx.instances() if row.called(name) and row.group in rules]
        row = next((one for one in rows if one.id == name), rows[0] if len(rows) == 1 else None)
        if row is None:
            known = ", ".join(sorted(rules)) or "none"
            what = said.several(name, len(rows)) if rows else said.unknown(name)
            names = [] if rows else [*rules, *called(tx.instances())]
            hint = f"name a group ({known}), or an instance by its id: driftd status"
            raise BadInput(what, near.hint(name, names, hint))
        follows = followed(tx, rules, [row], now).get(row.id)
    return motd.of_instance(row, follows, answered(house.policies[row.group], now), rules[row.group], now)
