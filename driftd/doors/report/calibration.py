"""A calibration for eyes and for programs: what was proposed, what was explained already, what a person has to sign."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.core.calibration.samples import Left
from driftd.core.rules import Rule
from driftd.core.wording import count, listed, printable, shown
from driftd.doors.cli.lines import columns, labelled
from driftd.doors.desks.calibration import Intended, Outcome

SCHEMA = "driftd.calibration/1"


def plan(intended: Intended) -> Group:
    """What would be done."""
    table = labelled()
    table.add_row("image", intended.image)
    table.add_row("held against", str(intended.manifest))
    table.add_row("launched by", f"provider {intended.provider} of group {intended.group}")
    table.add_row("launched", "\n".join(intended.slots))
    table.add_row("looked at", ", ".join(intended.looks))
    table.add_row("written to", str(intended.output) + (" (which is there, and would be replaced)" * intended.replaces))
    last = "Nothing was launched. Each instance would be ended, whatever happens."
    return Group(table, Text(), Text(last, style="dim"))


def intention(intended: Intended) -> dict[str, object]:
    """``plan`` for programs."""
    return {
        "schema": SCHEMA,
        "image": intended.image,
        "group": intended.group,
        "provider": intended.provider,
        "slots": list(intended.slots),
        "looks": list(intended.looks),
        "manifest": str(intended.manifest),
        "output": str(intended.output),
        "replaces": intended.replaces,
    }


def render(outcome: Outcome) -> Group:
    """What came of it."""
    learnt = outcome.calibration
    parts: list[RenderableType] = [Text(printable(note), style="yellow") for note in outcome.notes]
    parts.append(_headed(f"Proposed ({count(len(learnt.rules), 'rule')})", "green"))
    parts.append(_below(_proposed(learnt.rules)) if learnt.rules else Text("  nothing", style="dim"))
    known = sum(learnt.explained.values())
    parts.append(_headed(f"Explained already ({count(known, 'path or fact', 'paths and facts')})", "dim"))
    parts.append(_below(_explained(outcome)) if known else Text("  nothing", style="dim"))
    parts.append(_headed(f"For a person ({len(learnt.left) or 'nothing'})", "yellow"))
    if learnt.left:
        parts.append(_below(_left(learnt.left)))
    return Group(*parts, Text(), *_next(outcome))


def _below(table: Table) -> Padding:
    return Padding(table, (0, 0, 0, 2))


def _headed(text: str, style: str) -> Text:
    return Text(f"\n{text}", style=f"bold {style}")


def _proposed(rules: tuple[Rule, ...]) -> Table:
    table = columns(("class", "what", "because"), long=("what", "because"))
    for rule in rules:
        table.add_row(class_of(rule), Text(printable(subject_of(rule))), Text(printable(rule.because), style="dim"))
    return table


def class_of(rule: Rule) -> str:
    """In a word, what the rule expects."""
    if rule.expect is None:
        return str(rule.action)
    return f"{rule.expect}:{rule.template}" if rule.template else str(rule.expect)


def subject_of(rule: Rule) -> str:
    """What the rule speaks of."""
    facts = [f"{kind} {glob.text}" for kind, globs in sorted(rule.match.facts.items()) for glob in globs]
    return listed([*(glob.text for glob in rule.match.paths), *facts])


def _explained(outcome: Outcome) -> Table:
    table = columns(("times", "by"), long=("by",), right=("times",))
    for rule, number in sorted(outcome.calibration.explained.items(), key=lambda one: (-one[1], one[0])):
        table.add_row(str(number), Text(printable(rule), style="dim"))
    return table


def _left(left: tuple[Left, ...]) -> Table:
    table = columns(("kind", "what", "why it was not proposed"), long=("what", "why it was not proposed"))
    for one in left:
        what = f"{shown(one.subject)} {one.change}"
        table.add_row(one.kind, Text(what), Text(printable(one.why), style="dim"))
    return table


def _next(outcome: Outcome) -> list[Text]:
    where = outcome.intended
    watched = f"{count(len(outcome.instances), 'instance')} watched and ended"
    if not outcome.written:
        return [Text(f"{watched}; nothing needs a rule, so no overlay was written")]
    ended = f"{watched}; the overlay is {where.output}"
    if where.beside:
        sign = f"It is in force nowhere yet: read it, move it to {where.beside}, and sign it there with the manifest:"
    elif where.signed:
        sign = "The signature of the manifest does not cover it yet, so looks are refused until:"
    else:
        sign = "Read it, then sign it together with the manifest:"
    command = f"driftd manifest sign {where.manifest} --key KEY"
    return [Text(ended), Text(sign, style="bold"), Text(f"  {command}", style="bold", no_wrap=True, overflow="ignore")]


def values(outcome: Outcome) -> dict[str, object]:
    """The outcome for programs."""
    learnt = outcome.calibration
    return {
        **intention(outcome.intended),
        "instances": list(outcome.instances),
        "moments": list(outcome.moments),
        "proposed": [
            {
                "id": rule.id,
                "class": class_of(rule),
                "subject": subject_of(rule),
                "because": rule.because,
                "evidence": list(rule.evidence),
            }
            for rule in learnt.rules
        ],
        "explained": dict(learnt.explained),
        "left": [
            {
                "kind": one.kind,
                "subject": shown(one.subject),
                "change": str(one.change),
                "why": one.why,
                "evidence": list(one.evidence),
            }
            for one in learnt.left
        ],
        "notes": list(outcome.notes),
    }
