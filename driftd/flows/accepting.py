"""What people accept ("that was me"): one transaction with the row, the journal's line, and the sentence for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.acceptance import LONGEST, last_visit
from driftd.core.causes.fleet import Spread, spread
from driftd.core.errors import BadInput
from driftd.core.memory import FindingRow, Store, Suppression, Tx
from driftd.core.wording import causes as wording
from driftd.core.wording import lasting, near

LONGEST_REASON = 500
LONG_HINT = "what is to stay belongs into a policy, or into the image"


def too_long() -> str:
    """The end of a sentence about a span that is."""
    return f"longer than {lasting(LONGEST)}, the longest that an acceptance lasts"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted: the sentence for who did it, its number and signature, and until when."""

    said: str
    no: int
    signature: str
    until: datetime


def accept(store: Store, name: str, group: str, who: str, reason: str, span: timedelta, now: datetime) -> Accepted:
    """Accept what ``name`` says (a finding's number or signature, or a cause's signature) for ``span``.

    ``group`` "" means the finding's own. Raises BadInput.
    """
    if span > LONGEST:
        raise BadInput(f"{lasting(span)} is {too_long()}", LONG_HINT)
    if not reason.strip():
        raise BadInput("an acceptance needs a reason", "say why with --reason")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"the reason has {len(reason)} characters, {LONGEST_REASON} at most", "name a ticket instead")
    until = now + span
    with store.write() as tx:
        chosen = _find(tx, name.strip(), group)
        one = Suppression(
            id=0,
            signature=chosen.signature,
            group=chosen.group,
            owner=who,
            reason=reason,
            created_at=now,
            expires_at=until,
            cause=chosen.cause,
            members=chosen.members,
            until=chosen.until,
        )
        number = tx.add_suppression(one)
        body = {
            "did": "accept",
            "no": number,
            "signature": chosen.signature,
            "findings": len(chosen.members) or 1,
            "what": chosen.sentence,
            "owner": who,
            "reason": reason,
            "until": until.isoformat(),
        }
        tx.journal("human", chosen.group or "everywhere", body, now)
    where = chosen.group or "every group"
    what = f"{chosen.signature} ({chosen.sentence})"
    said = f"Accepted {what} in {where} until {until:%Y-%m-%d %H:%M} UTC (no {number}), owned by {who}."
    return Accepted(said, number, chosen.signature, until)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is to be accepted. ``cause`` and ``members`` are empty for a finding alone."""

    signature: str
    group: str
    sentence: str
    cause: str = ""
    members: tuple[str, ...] = ()
    until: str = ""


def _find(tx: Tx, name: str, group: str) -> _Chosen:
    """What ``name`` says. Raises BadInput."""
    groups = {row.id: row.group for row in tx.instances()}
    if group and group not in groups.values():
        known = sorted(set(groups.values()))
        there = f"groups with instances: {', '.join(known) or 'none'}"
        raise BadInput(f"no instance of a group {group!r} is known", near.hint(group, known, there))
    rows = tx.open_findings()
    mine = [row for row in rows if name in (str(row.id), row.finding.signature)]
    every = [] if mine else spread(rows)
    causes = [one for one in every if one.cause.signature == name]
    if not mine and not causes:
        names = [*(one.cause.signature for one in every), *(row.finding.signature for row in rows)]
        said = f"no open finding or cause has the number or signature {name!r}"
        raise BadInput(said, near.hint(name, names, "see: driftd findings"))
    scope = group or groups.get((mine or causes[0].rows)[0].instance_id, "")
    return _cause(causes[0], groups, scope) if causes else _finding(mine, name, groups, scope)


def _finding(rows: Sequence[FindingRow], name: str, groups: dict[str, str], scope: str) -> _Chosen:
    first = rows[0].finding
    within = [row for row in rows if name == str(row.id) or groups.get(row.instance_id) == scope] or rows[:1]
    until = max(last_visit(row.finding) for row in within) if first.kind == "session" else ""
    sentence = wording.alone(first.kind, first.subject, first.change)
    return _Chosen(first.signature, scope, sentence, until=until)


def _cause(one: Spread, groups: dict[str, str], scope: str) -> _Chosen:
    rows = [row for row in one.rows if groups.get(row.instance_id) == scope] or one.rows
    members = tuple(sorted({row.finding.signature for row in rows}))
    return _Chosen(one.cause.signature, scope, one.cause.sentence, one.cause.sentence, members)
