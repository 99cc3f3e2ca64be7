"""Explanations, for a person's eyes and for programs (schema ``driftd.explanation/1``, docs/explain.md).

Pure. Names and texts come from instances: they are never taken for markup, and nothing in them reaches a terminal raw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from driftd.core.explanation import Asked, Explanation
from driftd.core.memory import InstanceRow, SessionRow
from driftd.core.shown import Comparison, Setting
from driftd.core.wording import count, lasting, printable, shown
from driftd.core.wording import explaining as said
from driftd.core.wording.attribution import clause
from driftd.doors.cli.lines import columns, labelled
from driftd.doors.cli.styles import SEVERITY_STYLES, VERDICT_STYLES
from driftd.doors.report.json import finding_shape
from driftd.doors.report.table import evidence

SCHEMA = "driftd.explanation/1"
_LINES = 60  # of a comparison; all of them are in the JSON
_LABEL = 9


def render(asked: Asked) -> RenderableType:
    """Everything, one block a finding. What several have in common stands once, at the end, where a reader is."""
    parts: list[RenderableType] = [*_head(asked)]
    made = asked.explanations
    for at, one in enumerate(made):
        parts += [Rule(style="dim")] if at else []
        rows = [*_own(one, asked.at), *(() if len(made) > 1 else _shared(one, with_accept=True))]
        parts += [_title(one), Text(""), *_difference(one), _grid(rows), Text("")]
    if asked.left:
        parts += [Text(said.more(asked.left), style="dim"), Text("")]
    if len(made) > 1:
        parts += [Rule(style="dim"), _grid([*_who(made), *_shared(made[0], with_accept=False)])]
    return Group(*parts)


def _head(asked: Asked) -> Iterator[RenderableType]:
    line = Text(overflow="fold")
    if (cause := asked.about.cause) is not None:
        line.append(f" {cause.cause.severity.upper()} ", style=f"{SEVERITY_STYLES[cause.cause.severity]} reverse")
        line.append(f" {printable(cause.cause.sentence)}", style="bold")
        line.append(f"  {cause.cause.signature}, on {count(len(cause.instances), 'instance')}", style="dim")
        yield from (line, Text(""))
    elif (row := asked.about.instance) is not None:
        line.append(f" {row.verdict.upper()} ", style=f"{VERDICT_STYLES[row.verdict]} reverse")
        line.append(f" {printable(row.slot or row.id)}", style="bold")
        line.append(f"  {printable(row.id)}  {printable(row.image)}", style="dim")
        line.append(f"\n{printable(row.reason)}; since {lasting(asked.at - row.verdict_since)}, ")
        number = len(asked.explanations) + asked.left
        line.append(f"{count(number, 'finding')} open" if number else said.NOTHING_OPEN)
        yield from (line, Text(""))


def _title(one: Explanation) -> Text:
    finding = one.row.finding
    line = Text(overflow="fold")
    line.append(f" {finding.severity.upper()} ", style=f"{SEVERITY_STYLES[finding.severity]} reverse")
    line.append(f" {finding.kind} ", style="dim")
    line.append(shown(finding.subject), style="bold")
    line.append(f" {finding.change}")
    line.append(f"  no {one.row.id}, {finding.signature}", style="dim")
    return line


# --- what differs ----------------------------------------------------------------------------------------------------


def _difference(one: Explanation) -> Iterator[RenderableType]:
    made = one.exhibit.comparison if one.exhibit else Comparison()
    if made.settings:
        yield _indented(_settings(made.settings))
        yield Text("")
    if made.lines:
        yield _indented(Group(*_lines(made.lines)))
        yield Text("")
    for note in (made.note, one.unshown):
        if note:
            yield _indented(Text(printable(note), style="yellow", overflow="fold"))
            yield Text("")


def _settings(settings: Sequence[Setting]) -> Table:
    grid = columns(("setting", "was → is"), long=("setting", "was → is"))
    for one in settings:
        change = Text(overflow="fold")
        if one.before is not None:
            change.append(printable(one.before), style="green")
        if one.before is not None and one.after is not None:
            change.append(" → ")
        if one.after is not None:
            change.append(printable(one.after), style="red")
        if one.before is None or one.after is None:
            change.append(" added" if one.before is None else " removed", style="dim")
        grid.add_row(Text(printable(one.path), style="bold", overflow="fold"), change)
    return grid


def _lines(lines: Sequence[str]) -> Iterator[Text]:
    styles = {"+": "red", "-": "green", "@": "cyan", "\\": "dim"}
    for line in lines[:_LINES]:
        yield Text(printable(line.replace("\t", "    ")), style=styles.get(line[:1], ""), overflow="fold")
    if len(lines) > _LINES:
        yield Text(f"and {len(lines) - _LINES} lines more: --format json has them all", style="dim")


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2))


# --- what is known of it ---------------------------------------------------------------------------------------------


def _grid(rows: Iterable[tuple[str, Text]]) -> RenderableType:
    return labelled(rows, width=_LABEL, right=True)


def _own(one: Explanation, now: datetime) -> Iterator[tuple[str, Text]]:
    row, finding = one.row, one.row.finding
    for at, line in enumerate(evidence(finding)):
        yield "" if at else "differs", line
    ended = f"; gone {lasting(now - row.resolved_at)} ago" if row.resolved_at else ""
    yield "since", _text(f"first seen {_ago(row.first_seen, now)}, last {_ago(row.last_seen, now)}{ended}")
    yield "because", _text(finding.because, "italic")
    owner = f"owned by {one.rule.owner}" if one.rule.owner else ""
    until = f"until {one.rule.expires}" if one.rule.expires else ""
    yield (
        "rule",
        _text(", ".join(part for part in (one.rule.name, one.rule.where, owner, until, one.rule.says) if part)),
    )
    if one.cause:
        yield "part of", _text(one.cause)
    others = [printable(other.slot or other.id) for other, _ in one.elsewhere]
    if one.attribution is not None:
        tied = one.attribution
        yield "done by", _text(clause(tied.level, tied.session, tied.why), "magenta")
    yield "same", _text(said.elsewhere(others, one.peers))
    yield "asks for", _text(said.asks_for(finding.action, suppressed=finding.suppressed_by))


def _who(several: Sequence[Explanation]) -> Iterator[tuple[str, Text]]:
    sessions = {session.id: session for one in several for session in one.sessions}
    for at, session in enumerate(sessions.values()):
        yield "" if at else "who", _text(_session(session), "magenta")


def _shared(one: Explanation, *, with_accept: bool) -> Iterator[tuple[str, Text]]:
    """What is true of every finding of the instance; of one by itself also who was there, and how to accept it."""
    instance = one.instance
    if with_accept:
        yield from _who([one])
    yield "on", _text(" ".join(part for part in (instance.slot, instance.id, instance.address) if part))
    follows = one.outlook.follows
    if follows is not None:
        yield "tainted", _text(instance.taint, "red")
        yield "follows", _text(follows.says, "red")
    yield "next", _next(one)
    ways = [way for way in one.stop if with_accept or not way[0].startswith("driftd accept")]
    if follows is not None and follows.hold:
        ways.append((follows.hold, said.HOLD))
    if not with_accept and len(ways) < len(one.stop):
        ways.insert(0, ('driftd accept NO --for 7d --reason "…"', said.ACCEPT))
    for at, (command, does) in enumerate(ways):
        yield "" if at else "to stop", Text(overflow="fold").append(command, "cyan").append(f"  {does}", "dim")


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, overflow="fold")


def _next(one: Explanation) -> Text:
    if one.row.resolved_at is not None:
        return _text("nothing: it is no longer there")
    why = said.kept_from(one.outlook.why_not) if one.outlook.why_not else ""
    return _text("; ".join(part for part in (why, one.outlook.next) if part))


def _ago(moment: datetime, now: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC ({lasting(now - moment)} ago)"


def _session(row: SessionRow) -> str:
    one = row.session
    ended = "now" if one.live else f"{one.ended_at:%H:%M}" if one.ended_at else "?"
    who = f"{one.user} with key {one.key}" if one.key else one.user
    return said.overlap(one.door, who, one.source, f"{one.started_at:%Y-%m-%d %H:%M}", ended)


# --- for programs ----------------------------------------------------------------------------------------------------


def text(asked: Asked) -> str:
    """The same as JSON, with a line feed at its end."""
    about, cause = asked.about.instance, asked.about.cause
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "at": asked.at.isoformat(),
        "instance": _instance_values(about) if about else None,
        "cause": {"signature": cause.cause.signature, "sentence": cause.cause.sentence} if cause else None,
        "left_out": asked.left,
        "findings": [_values(one) for one in asked.explanations],
    }
    return json.dumps(values, indent=2) + "\n"


def _instance_values(row: InstanceRow) -> dict[str, Any]:
    values = {"id": row.id, "group": row.group, "slot": row.slot, "image": row.image, "address": row.address}
    return {**values, "verdict": row.verdict, "reason": row.reason}


def _values(one: Explanation) -> dict[str, Any]:
    row = one.row
    shape = finding_shape(row.finding, one.exhibit, one.attribution).model_dump(mode="json", exclude_none=True)
    return {
        "no": row.id,
        **shape,
        "instance": _instance_values(one.instance),
        "not_shown_because": one.unshown,
        "first_seen": row.first_seen.isoformat(),
        "last_seen": row.last_seen.isoformat(),
        "resolved_at": row.resolved_at.isoformat() if row.resolved_at else None,
        "judged_by": {
            "rule": one.rule.name,
            "where": one.rule.where,
            "owner": one.rule.owner,
            "expires": one.rule.expires,
            "says": one.rule.says,
        },
        "part_of": one.cause,
        "elsewhere": [
            {"id": other.id, "group": other.group, "slot": other.slot, "no": its.id} for other, its in one.elsewhere
        ],
        "sessions": [
            {
                "door": session.session.door,
                "user": session.session.user,
                "source": session.session.source,
                "key": session.session.key,
                "started_at": session.session.started_at.isoformat(),
                "ended_at": session.session.ended_at.isoformat() if session.session.ended_at else None,
                "live": session.session.live,
                "kind": session.session.kind,
                "confidence": session.session.confidence,
            }
            for session in one.sessions
        ],
        "taint": one.instance.taint,
        **one.outlook.taint_follows(),
        "not_replaced_because": one.outlook.why_not,
        "next": one.outlook.next,
        "to_stop": [{"command": command, "does": does} for command, does in one.stop],
    }
