"""Which rights this driftd's credentials have: tried where AWS lets one try, and else asked of IAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.core.asides import Rights
from driftd.core.errors import ProviderError
from driftd.edges.providers.aws import trials
from driftd.edges.providers.aws.cloud import Cloud, action_of
from driftd.edges.providers.aws.errors import is_denied, statement
from driftd.edges.providers.aws.subjects import Subjects
from driftd.edges.providers.aws.trials import Call, Question

NO_TRIAL = "it cannot be tried without doing it"
ASK_HINT = "allow iam:SimulatePrincipalPolicy and iam:GetRole, so that IAM can be asked (docs/aws/enforce.json)"


@dataclass(frozen=True, slots=True)
class _Right:
    """One of them; ``permitted`` is None where nobody knows, and ``why`` says why not."""

    name: str
    permitted: bool | None
    why: str = ""
    hint: str = ""


class Trying:
    """Implements ``Permissioned``."""

    def __init__(self, cloud: Cloud, subjects: Subjects) -> None:
        self._cloud = cloud
        self._subjects = subjects

    def rights(self, group: str, *, changing: bool) -> Rights:
        """See ``Permissioned.rights``. Reads come first: where a dry run of theirs is not taken for one, this raises
        ``Refused`` before anything is tried that would change something.
        """
        found = sorted(self._all(group, changing=changing), key=lambda one: one.name)
        missing = tuple(one.name for one in found if one.permitted is False)
        unknown = [one for one in found if one.permitted is None]
        return Rights(
            held=tuple(one.name for one in found if one.permitted),
            missing=missing,
            missing_hint=f"add to its role's policy: {statement(missing)}" if missing else "",
            unknown=tuple(one.name for one in unknown),
            unknown_why=unknown[0].why if unknown else "",
            unknown_hint=unknown[0].hint if unknown else "",
        )

    def _all(self, group: str, *, changing: bool) -> list[_Right]:
        subject = self._subjects.of(group, changing=changing)
        found = [self._tried(call, how) for call, how in trials.reading(subject).items() if how is not None]
        asked = trials.looking(subject)
        if changing:
            tries = trials.changing(subject)
            found += [self._tried(call, how) for call, how in tries.items() if how is not None]
            untried = tuple(call for call, how in tries.items() if how is None)
            asked += [*trials.asked(subject), Question("*", untried)]
        for question in asked:
            found += self._asked(question)
        return found

    # --- tried ---

    def _tried(self, call: Call, how: Mapping[str, Any]) -> _Right:
        name = action_of(*call)
        error = self._cloud.try_out(*call, how)
        if error is None:
            return _Right(name, permitted=True)
        return _Right(name, permitted=False if is_denied(error) else None, why=str(error), hint=error.hint)

    # --- asked ---

    def _asked(self, question: Question) -> list[_Right]:
        """What IAM says."""
        wanted = [action_of(*call) for call in question.calls]
        if not wanted:
            return []
        try:
            said = self._simulated(wanted, question)
        except ProviderError as error:
            why = f"{NO_TRIAL}, and IAM does not say: {error}"
            return [_Right(name, None, why, ASK_HINT) for name in wanted]
        return [_judged(name, said.get(name, {})) for name in wanted]

    def _simulated(self, actions: Sequence[str], question: Question) -> dict[str, Mapping[str, Any]]:
        """By action. Raises ``ProviderError``."""
        said = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in question.context.items()
        ]
        found = self._cloud.pages(
            "iam",
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=self._principal(),
            ActionNames=list(actions),
            ResourceArns=[question.resource],
            ContextEntries=said,
        )
        return {one["EvalActionName"]: one for one in found}

    def _principal(self) -> str:
        """The user or role that driftd acts as; IAM takes no session of a role for one."""
        arn = str(self._cloud.ask("sts", "get_caller_identity")["Arn"])
        if ":assumed-role/" not in arn:
            return arn
        name = arn.split("/")[1]
        return str(self._cloud.ask("iam", "get_role", RoleName=name)["Role"]["Arn"])


def _judged(name: str, said: Mapping[str, Any]) -> _Right:
    """By one of IAM's ``EvaluationResults``."""
    decision = said.get("EvalDecision", "")
    if decision == "allowed":
        return _Right(name, permitted=True)
    if not decision or said.get("MissingContextValues"):
        return _Right(name, None, f"{NO_TRIAL}, and IAM says that it depends on a condition")
    return _Right(name, permitted=False)
