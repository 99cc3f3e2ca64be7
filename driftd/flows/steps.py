"""Steps: what the journal says of a replacement, told below its incident; each once, and again only where in doubt."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.findings import Severity
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import JournalLine, Message, Tx
from driftd.core.notices import CROWD, Notice
from driftd.core.outbox import Delivery, Incident
from driftd.core.replacement import TERMINAL, State
from driftd.core.wording import cards as wording

# These are messages of their own.
_TOLD = {State.LAUNCHING.value, State.UNDOING.value} | {state.value for state in TERMINAL}


def untold(tx: Tx, incident: Incident, rid: str) -> tuple[Notice | None, int]:
    """What is to be told of the replacement ``rid`` now, if anything, and up to which line of the journal that is."""
    if not rid or incident.crowd:
        return None, incident.step
    lines = tx.journal_lines(rid, max(incident.step, BEFORE_ALL), limit=CROWD)
    said = [(line, text) for line in lines if (text := _said(line))]
    upto = lines[-1].seq if lines else incident.step
    return (_notice(incident, rid, said) if said else None), upto


def _notice(incident: Incident, rid: str, said: Sequence[tuple[JournalLine, str]]) -> Notice:
    made = [
        Message(f"step/{line.seq}", "step", Severity.INFO, text, incident.instance_id, rid, line.seq, line.at)
        for line, text in said
    ]
    return Notice(tuple(Delivery(one, 0, incident.stepping) for one in made), incident.group)


def _said(line: JournalLine) -> str:
    """A sentence for a move, or for what a person did; "" for all else."""
    body = line.body
    if line.kind == "decision" and body.get("to") not in _TOLD and body.get("to"):
        return wording.step(str(body["to"]), str(body.get("why", "")))
    if line.kind == "human" and body.get("did"):
        return wording.did(str(body["did"]), str(body.get("by", "")))
    return ""
