"""Breaking: what becomes of a breaker that opens or closes, in the store: its row, the journal, and a message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from driftd.core.breakers.breaker import Breaker, Change
from driftd.core.breakers.evaluate import closed_by_person
from driftd.core.breakers.table import RULE, cannot_close
from driftd.core.errors import BadInput
from driftd.core.findings import Severity
from driftd.core.journal import instant
from driftd.core.memory import Message, Tx
from driftd.core.wording import breakers as wording
from driftd.core.wording import near

_SEVERITY = {"C1": Severity.CRITICAL, "C6": Severity.CRITICAL, "C8": Severity.INFO}
_TOLD = 3


def apply(tx: Tx, changes: Sequence[Change], now: datetime) -> list[str]:
    """Write changes down: rows, journal, messages; what happened, in sentences. Details change without a word."""
    said: dict[tuple[str, str], list[tuple[Breaker, str]]] = defaultdict(list)
    for change in changes:
        one = change.after
        tx.put_breaker(one)
        if change.what == "noted" or (one.rule in RULE and RULE[one.rule].shows):
            continue
        sentence = wording.changed(one, change.what)
        body = {"breaker": one.rule, "scope": one.scope, "to": one.state.value, "why": sentence}
        tx.journal("decision", f"breaker/{one.rule}/{one.scope}", body, now)
        said[one.rule, change.what].append((one, sentence))
    for (rule, what), together in said.items():
        _tell(tx, rule, what, together, now)
    return [sentence for together in said.values() for _, sentence in together]


def _tell(tx: Tx, rule: str, what: str, together: Sequence[tuple[Breaker, str]], now: datetime) -> None:
    """One message for each; for all of a rule at once where that would be many."""
    severity = _SEVERITY.get(rule, Severity.HIGH) if what == "opened" else Severity.INFO
    if len(together) <= _TOLD:
        for one, sentence in together:
            key = f"breaker/{rule}/{one.scope}/{what}/{instant(now)}"
            tx.say(Message(key, f"breaker-{what}", severity, sentence), now)
        return
    text = wording.several([sentence for _, sentence in together[:_TOLD]], len(together) - _TOLD)
    tx.say(Message(f"breaker/{rule}/{what}/{instant(now)}", f"breaker-{what}", severity, text), now)


def reset(tx: Tx, rule: str, scope: str, who: str, reason: str, now: datetime) -> str:
    """A person closes a breaker; one sentence. Raises ``BadInput`` where none is open, or no person may close it."""
    known = {one.key: one for one in tx.breakers()}
    one = known.get((rule.upper(), scope))
    if one is None or not one.holds:
        names = [" ".join(other.key) for other in known.values() if other.holds]
        meant = near.hint(f"{rule.upper()} {scope}", names, "see: driftd breakers")
        raise BadInput(wording.not_open(rule.upper(), scope), meant)
    if why := cannot_close(one):
        raise BadInput(wording.no_person(one, why), "see: driftd breakers")
    after = closed_by_person(one, who, now)
    tx.put_breaker(after)
    body = {"did": "reset", "breaker": one.rule, "scope": one.scope, "by": who, "reason": reason, "was": one.why}
    tx.journal("human", f"breaker/{one.rule}/{one.scope}", body, now)
    sentence = wording.reset(after, who, reason)
    key = f"breaker/{one.rule}/{one.scope}/closed/{instant(now)}"
    tx.say(Message(key, "breaker-closed", Severity.INFO, sentence), now)
    return sentence
