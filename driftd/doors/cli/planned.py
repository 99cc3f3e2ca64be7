"""A plan on a terminal: what is at risk, the waves of each group, what waits, what is passed by, and the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftd.core.findings import Verdict
from driftd.core.journal import read_instant
from driftd.core.wording import count, lasting, listed, printable
from driftd.core.wording import planning as wording
from driftd.doors.cli.lines import columns, none, say, show, stacked, total
from driftd.doors.cli.styles import VERDICT_STYLES
from driftd.doors.desks.planning import Document

Item = Mapping[str, Any]
ASKED = {"drift": "drift", "replacement": "waits already", "hand": "by hand"}
_TOGETHER = 12  # of a wave or a list: the rest is counted


def show_plan(out: Console, document: Document, now: datetime) -> None:
    """Print ``document``."""
    items: Sequence[Item] = document["replacements"]
    for note in document["notes"]:
        say(out, note, "yellow")
    if not items:
        none(out, wording.nothing())
        return
    say(out, _at_risk(document))
    say(out, _takes(document), "dim")
    say(out, _looked(items), "dim")
    for group in document["groups"]:
        mine = [one for one in items if one["group"] == group["group"]]
        out.print()
        say(out, _group(group), "bold")
        show(out, *_instances(mine))
        out.print()
        show(out, _waves(group, mine))
        for passed in _passed(mine):
            say(out, passed, "dim")
        for label, steps in _steps(mine):
            say(out, f"{label}: {steps}", "dim")
        for later in group["asked_later"]:
            say(out, f"not asked now: {later}", "dim")
    out.print()
    total(out, _valid(document, now))


def _at_risk(document: Document) -> str:
    risk = document["at_risk"]
    parts = [
        f"{count(risk['instances'], 'instance')} in {count(risk['groups'], 'group')}",
        *([count(risk["zones"], "zone")] if risk["zones"] else []),
        f"{count(risk['volumes'], 'volume')} and {count(risk['addresses'], 'address', 'addresses')} that move",
        f"{count(risk['connections'], 'connection')} open now on what is to go",
    ]
    waits = f"; {risk['waiting']} of them wait for what nobody can foresee" if risk["waiting"] else ""
    return f"At risk: {', '.join(parts)}{waits}."


def _takes(document: Document) -> str:
    takes, past = document["takes"], sum(one["lasts"]["past"] > 0 for one in document["replacements"])
    by = "what past replacements took" if past else "soak, parking and the limits of each step; none is past yet"
    return f"It takes from {_s(takes['least_s'])} to {_s(takes['most_s'])}, by {by}."


def _looked(items: Sequence[Item]) -> str:
    ages = [one["look_age_s"] for one in items if one["look_age_s"] is not None]
    never = len(items) - len(ages)
    span = " to ".join(dict.fromkeys((_s(min(ages)), _s(max(ages))))) if ages else ""
    seen = f"Looked at {span} ago" if ages else "Never looked at"
    return f"{seen}{f', {never} of them never' if never and ages else ''}; nobody was looked at for this plan."


def _group(group: Mapping[str, Any]) -> str:
    zones = ", ".join(f"{one['replaced']} of {one['size']} in {one['zone']}" for one in group["zones"])
    return (
        f"{group['group']}: {group['replaced']} of {group['size']} ({group['share_percent']} %)"
        f"{f': {zones}' if zones else ''}; {group['in_service']} in service, its minimum is {group['minimum']}"
    )


# --- instances -------------------------------------------------------------------------------------------------------


def _instances(items: Sequence[Item]) -> tuple[Table, Table]:
    heads = ("wave", "slot", "instance", "verdict", "how", "why, and what it waits for")
    wide = stacked(heads, ((_cells(one), _lines(one)) for one in items), right=("wave",))
    short = stacked(
        ("wave", "slot"), (((_wave(one), _text(one["slot"])), _below(one)) for one in items), right=("wave",)
    )
    return wide, short


def _wave(one: Item) -> Text:
    return Text(str(one["wave"])) if one["wave"] else Text("waits", "yellow")


def _text(value: str, style: str = "") -> Text:
    return Text(printable(value), style)


def _verdict(one: Item) -> Text:
    return Text(one["verdict"], VERDICT_STYLES.get(Verdict(one["verdict"]), ""))


def _cells(one: Item) -> Sequence[Text]:
    return _wave(one), _text(one["slot"]), _text(one["instance"]), _verdict(one), Text(one["variant"])


def _below(one: Item) -> Sequence[Text]:
    return Text.assemble(f"{printable(one['instance'])}  ", _verdict(one), f"  {one['variant']}"), *_lines(one)


def _lines(one: Item) -> Sequence[Text]:
    moves = [f"volume {name}" for name in one["volumes"]] + [f"address {name}" for name in one["addresses"]]
    waits = one["guards"]["wait"]
    said = [(f"{ASKED[one['asked_by']]}: {one['why']}", "")]
    said += [(f"moves {listed(moves, most=_TOGETHER)}", "")] if moves else []
    said += [(f"waits: {why['why']}", "yellow") for why in waits]
    if not one["wave"] and not waits:
        said.append((f"waits: {one['waits_for']}", "yellow"))
    said += [(f"held up on its way: {one['held_up']}", "yellow")] if one["held_up"] else []
    return [_text(text, style) for text, style in said]


def _passed(items: Sequence[Item]) -> Iterator[str]:
    """What would wait if no person asked: each guard once, with the first that it is about."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in items:
        for why in one["guards"]["skipped"]:
            found.setdefault(why["guard"], []).append((one["slot"] or one["instance"], why["why"]))
    for guard, those in sorted(found.items()):
        more = f" (and {len(those) - 1} more)" if len(those) > 1 else ""
        yield f"passed by, since a person asks: {guard} for {those[0][0]}{more}: {those[0][1]}"


# --- waves and steps -------------------------------------------------------------------------------------------------


def _waves(group: Mapping[str, Any], items: Sequence[Item]) -> Table:
    heads = ("wave", "soonest", "slots", "in service at least", "and after", "by zone after")
    table = columns(heads, long=("slots", "by zone after"), right=("wave", "in service at least", "and after"))
    called = {one["instance"]: one["slot"] or one["instance"] for one in items}
    for wave in group["waves"]:
        zones = ", ".join(f"{one['zone']} {one['in_service_after']}" for one in wave["zones"])
        begins = f"in {_s(wave['begins_s'])}" if wave["begins_s"] else "at once"
        of = f"{{}} of {group['size']}"
        table.add_row(
            str(wave["wave"]),
            begins,
            _text(listed([called[name] for name in wave["instances"]], most=_TOGETHER)),
            Text(
                of.format(wave["in_service_lowest"]), "yellow" if wave["in_service_lowest"] < group["minimum"] else ""
            ),
            of.format(wave["in_service_after"]),
            _text(zones),
        )
    return table


def _steps(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """The steps of each way there is, once."""
    ways = sorted(((one["variant"], _way(one["steps"])) for one in items), key=str)
    for variant, alike in groupby(dict.fromkeys(ways), key=lambda way: way[0]):
        for _, steps in alike:
            yield f"steps of {variant}", steps


def _way(steps: Sequence[Mapping[str, str]]) -> str:
    said = [f"{one['call']}{_about(one)}" for one in steps]
    return " → ".join(name if number == 1 else f"{name}, {number} times" for name, number in _counted(said))


def _about(one: Mapping[str, str]) -> str:
    thing = {"snapshot": " volume", "detach": " volume", "attach": " volume", "associate": " address"}.get(
        one["call"], ""
    )
    on = f" {one['on']}" if one["on"] and not thing else ""
    return on or thing


def _counted(said: Sequence[str]) -> Iterator[tuple[str, int]]:
    for name, alike in groupby(said):
        yield name, sum(1 for _ in alike)


def _valid(document: Document, now: datetime) -> str:
    until = read_instant(document["valid_until"])
    left = f"good for {lasting(until - now)}" if until and until > now else "not good any more"
    asked = "" if document["asked"] == "by hand" else "; as driftd does by itself, and not to be applied"
    return f"plan {document['digest'][:12]}, made by {document['made_by']}, {left}{asked}"


def _s(seconds: int) -> str:
    return lasting(timedelta(seconds=seconds))
