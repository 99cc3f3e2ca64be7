"""Cards: what an outlet shows of one incident, as it is now: made anew from what the store knows whenever that changes.

An incident is what happened to one instance, its replacement included; or one circuit breaker; or one message that
stands for itself. Pure: plain values in, a card out, the same for the same values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from driftd.core.breakers.breaker import Breaker
from driftd.core.causes import Cause, gather
from driftd.core.findings import Severity, Verdict
from driftd.core.holds import Hold
from driftd.core.memory import FindingRow, InstanceRow, Message
from driftd.core.outbox import Incident
from driftd.core.replacement import Record, State
from driftd.core.wording import cards as wording

CAUSES = 5
_OF_INSTANCE = {"drift", "session", "resolved", "unknown", "gone", "hold", "release", "hold-over", "hold-ends"} | {
    "approval",
    "waits",
}


class Press(StrEnum):
    """What a button does."""

    APPROVE = "approve"
    DENY = "deny"
    HOLD = "hold"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Button:
    """``of`` is a replacement's id, an instance's id or a signature; ``confirm`` says in a sentence what it will do."""

    press: Press
    of: str
    group: str
    confirm: str


@dataclass(frozen=True, slots=True)
class Card:
    """``fields`` are names with values, ``changes`` lines of what is different. ``over``: nothing more will come."""

    key: str
    title: str
    text: str
    severity: Severity
    group: str = ""
    instance_id: str = ""
    last: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    over: bool = False
    opened_at: datetime | None = None

    @property
    def digest(self) -> str:
        """The same for cards that show the same."""
        return hashlib.sha256(repr(self).encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Scene:
    """What the store knows of an incident's instance. ``approve``: its group asks a person about each replacement.

    ``record`` is the open replacement of it, else the one that is stuck; ``done`` is one that was told of and is over.
    ``others``: of its group somebody has drifted who has no incident, and may be told of in this one.
    """

    row: InstanceRow | None = None
    record: Record | None = None
    done: Record | None = None
    hold: Hold | None = None
    findings: Sequence[FindingRow] = field(default_factory=tuple)
    breakers: Sequence[Breaker] = field(default_factory=tuple)
    approve: bool = False
    others: bool = False


def key_of(message: Message) -> str:
    """The incident that a message belongs to."""
    if message.instance_id and (message.code in _OF_INSTANCE or message.code.startswith("replacement-")):
        return f"instance/{message.instance_id}"
    if message.code.startswith("breaker-") and message.key.count("/") >= 3:
        return message.key.rsplit("/", 2)[0]
    return f"message/{message.key}"


def card_of(incident: Incident, scene: Scene, may: frozenset[Press] = frozenset()) -> Card:
    """What is to be shown of ``incident`` now; buttons for what somebody ``may`` do."""
    whole = _of_instance if incident.key.startswith("instance/") else _of_other
    return whole(incident, scene, may)


def _of_other(incident: Incident, scene: Scene, _may: frozenset[Press]) -> Card:
    _, _, rest = incident.key.partition("/")
    held = any(f"{one.rule}/{one.scope}" == rest and one.holds for one in scene.breakers)
    return Card(
        key=incident.key,
        title=wording.other(incident.key, incident.group, held=held),
        text=incident.text,
        severity=incident.severity,
        group=incident.group,
        last=incident.last,
        over=not held,
        opened_at=incident.opened_at,
    )


def _of_instance(incident: Incident, scene: Scene, may: frozenset[Press]) -> Card:
    row, record = scene.row, scene.record
    here = row is not None and row.gone_at is None
    status = _status(scene)
    trusted = row is not None and row.verdict in {Verdict.CLEAN, Verdict.EXPLAINED} and not row.taint
    causes = gather(one.finding for one in scene.findings)
    return Card(
        key=incident.key,
        title=wording.instance((row.slot if row else "") or incident.instance_id, incident.group, status),
        text=incident.text,
        severity=incident.severity,
        group=incident.group,
        instance_id=incident.instance_id,
        last=incident.last,
        fields=_fields(incident, scene, status),
        changes=wording.changes([(one.severity.value, one.sentence, one.accepted) for one in causes], CAUSES),
        buttons=tuple(one for one in _buttons(incident, scene, causes) if one.press in may) if here else (),
        over=(not here or trusted) and record is None and scene.hold is None and not scene.others,
        opened_at=incident.opened_at,
    )


def _status(scene: Scene) -> str:
    row, record, done = scene.row, scene.record, scene.done
    if record is not None:
        return wording.replacing(record.state.value, asked=_asked(scene, record))
    if row is None or row.gone_at is not None:
        return wording.replaced(done.new_id) if done is not None and done.state is State.SUCCEEDED else wording.GONE
    held = f", {wording.HELD}" if scene.hold is not None else ""
    return (wording.TAINTED if row.taint and row.verdict is not Verdict.DRIFTED else row.verdict.value) + held


def _asked(scene: Scene, record: Record) -> bool:
    """Whether it waits for a person to agree to it."""
    said = record.approved_by or record.denied_by or record.manual
    return scene.approve and record.state is State.ADMITTING and not said


def _fields(incident: Incident, scene: Scene, status: str) -> tuple[tuple[str, str], ...]:
    row, record, hold = scene.row, scene.record, scene.hold
    found = [("Server", incident.instance_id), ("Status", status)]
    if row is not None:
        found += [("Image", row.image), ("Since", wording.at(row.verdict_since)), ("Address", row.address)]
        found += [("Who", row.taint)] if row.taint else []
    if record is not None:
        found.append(("Replacement", wording.record(record.rid, record.note or record.why)))
        found += [("Approved by", record.approved_by)] if record.approved_by else []
        found += [("Denied by", record.denied_by)] if record.denied_by else []
    if hold is not None:
        found.append(("Held", wording.held(hold.owner, hold.until, hold.reason)))
    return tuple((name, value) for name, value in found if value)


def _buttons(incident: Incident, scene: Scene, causes: Sequence[Cause]) -> list[Button]:
    record, name, group = scene.record, incident.instance_id, incident.group
    found = []
    if record is not None and record.state is not State.STUCK and not record.denied_by:
        if _asked(scene, record):
            found.append(Button(Press.APPROVE, record.rid, group, wording.would_approve(name, record.rid)))
        if not record.committed and record.state is not State.SETTLING:
            found.append(Button(Press.DENY, record.rid, group, wording.would_deny(name, record.rid)))
    if scene.hold is None:
        found.append(Button(Press.HOLD, name, group, wording.would_hold(name)))
    if (worst := next((one for one in causes if not one.accepted), None)) is not None:
        found.append(Button(Press.ACCEPT, worst.signature, group, wording.would_accept(worst.sentence, group)))
    return found
