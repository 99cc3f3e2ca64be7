"""Answering: a group's policy with what it was set to do about sessions, and what that amounts to."""

from __future__ import annotations

from driftd.core.answers import KINDS, Answers, pack_of
from driftd.core.findings import Action
from driftd.core.policy import Policy
from driftd.edges import documents
from driftd.settingparts import Answer
from driftd.settings import GroupSettings, Settings


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


def digest_of(settings: Settings, name: str) -> str:
    """Of what that policy was read from: another one is other rules. Raises BadInput."""
    group = settings.group(name)
    read, answers = documents.digest_of(group.policy, settings.base), answers_of(group)
    said = [f"{kind}={action}" for kind, action in sorted(answers.by_kind.items())]
    return ",".join([read, *said, *([f"any={answers.rest}"] if answers.rest is not None else [])])
