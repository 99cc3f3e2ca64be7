"""The report for a person's eyes: one block an instance, each finding with its evidence and its reason.

Pure: looks in, something that Rich can print out. Names come from instances and are never taken for markup.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from driftd.core import zones
from driftd.core.attributed import Level
from driftd.core.causes import Cause, gather
from driftd.core.difference import Change
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import DISK, Look
from driftd.core.shown import Comparison, short
from driftd.core.wording import count, covered, kept, printable, shown, three_ways
from driftd.core.wording.attribution import clause
from driftd.doors.cli.lines import labelled
from driftd.doors.cli.styles import SEVERITY_STYLES, VERDICT_STYLES
from driftd.doors.report import causes

_MOST_CAUSES = 20
_PLAIN_WIDTH = 120
# What says most comes first; what is not named here follows by its name.
_ORDER = (
    "kind",
    "mode",
    "uid",
    "gid",
    "size",
    "sha256",
    "target",
    "rdev",
    "version",
    "program",
    "user",
    "state",
    "file",
)
_DIGESTS = ("sha256", "digest")
_SHORTEST_DIGEST = 32
_LONGEST = 160  # characters of a value; what exceeds it is in the JSON
_BEFORE = 20  # characters that two long values have in common before they differ


def render(looks: Sequence[Look]) -> RenderableType:
    """Everything, the summary last, where a terminal's reader is."""
    parts: list[RenderableType] = []
    for look in looks:
        parts.extend(_block(look))
    parts.append(Rule(style="dim"))
    parts += [Text(printable(said), style=SEVERITY_STYLES[severity]) for severity, said in causes.lines(looks)]
    parts.append(_summary(looks))
    return Group(*parts)


def text(looks: Sequence[Look], width: int = _PLAIN_WIDTH) -> str:
    """The same without colour, for a file."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(render(looks))
    lines = str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]  # it is the StringIO above
    return "\n".join(line.rstrip() for line in lines) + "\n"


# --- one instance ----------------------------------------------------------------------------------------------------


def _block(look: Look) -> Iterator[RenderableType]:
    instance, judgement = look.instance, look.judgement
    style = VERDICT_STYLES[judgement.verdict]
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(f" {judgement.verdict.upper()} ", style=f"{style} reverse")
    title.append(f" {printable(instance.slot or instance.id)}", style="bold")
    if look.means == DISK:
        title.append("  its disk" if look.instance.group else "  a disk", style="bold")
    where = [instance.id if instance.slot else "", instance.address, instance.image, zones.named(instance.zone)]
    title.append("".join(f"  {printable(part)}" for part in where if part), style="dim")
    yield title
    yield _indented(Text(printable(judgement.reason), style=style.removeprefix("bold ")), 2)
    found = gather(judgement.findings)
    for cause in found[:_MOST_CAUSES]:
        yield from _cause(cause, look)
    if left := found[_MOST_CAUSES:]:
        rest = sum(one.count for one in left)
        yield _indented(Text(f"and {rest} more: --format json has them all", style="dim"), 2)
    for line in _notes(look):
        yield _indented(line, 2)
    yield Text("")


def _cause(cause: Cause, look: Look) -> Iterator[RenderableType]:
    """A finding that stands alone, or what several came of, with them below it."""
    if not cause.kind:
        for one in cause.members:
            yield _indented(_finding(one, look), 2)
        return
    style = "dim" if cause.accepted else SEVERITY_STYLES[cause.severity]
    line = Text(overflow="fold").append(f"{cause.severity:<8}  ", style=style)
    line.append(printable(cause.sentence), style="bold").append(f"  {cause.signature}", style="dim")
    yield _indented(line, 2)
    full, left = causes.told(cause)
    for one in cause.members[:full]:
        yield _indented(_finding(one, look), 6)
    if left:
        yield _indented(Text(f"and {left} more of it: --format json has them all", style="dim"), 6)


def _indented(what: RenderableType, by: int) -> Padding:
    return Padding(what, (0, 0, 0, by))


def _finding(finding: Finding, look: Look) -> RenderableType:
    """Severity at the left; beside it the subject, what was and is, why it matters, whose it is, and the signature."""
    exhibit = look.shown.get(finding.subject)
    style = "dim" if finding.suppressed_by else SEVERITY_STYLES[finding.severity]
    what = Text(overflow="fold")
    what.append(f"{printable(finding.kind)} ", style="dim")
    what.append(shown(finding.subject), style="bold")
    what.append(f" {finding.change}", style=style)
    lines = [what]
    if exhibit is not None and finding.kind == "file":
        lines += _said(exhibit.comparison)
    lines += evidence(finding)
    lines.append(Text(printable(finding.because), style="italic"))
    if (tied := look.attributions.get(finding.signature)) is not None and tied.level is not Level.NONE:
        lines.append(Text(printable(clause(tied.level, tied.session, tied.why)), style="magenta"))
    if finding.suppressed_by:
        lines.append(Text(printable(finding.suppressed_by), style="green"))
    lines.append(Text(f"{finding.signature}  {printable(finding.rule)}", style="dim"))
    grid = labelled(width=8, style="")
    # One cell: to lay out a row for each line takes half as long again.
    grid.add_row(Text(finding.severity, style=style), Text("\n", overflow="fold").join(lines))
    return grid


def _said(made: Comparison) -> Iterator[Text]:
    """What a file says otherwise, in short: ``driftd explain`` and the JSON have it all."""
    if made.settings:
        yield Text(printable(short(made.settings)), style="bold", overflow="fold")
    if made.note:
        yield Text(printable(made.note), overflow="fold")


def evidence(finding: Finding) -> Iterator[Text]:
    """What was and what is, in lines; of a session who, from where and when."""
    if finding.kind == "session":
        yield _session(finding.actual)
        return
    expected, actual = _shortened(finding.expected, finding.actual)
    three = three_ways(expected, actual)
    if three:
        yield Text(printable(three), overflow="fold")
    expected, actual = (_without_sides(fields, three) for fields in (expected, actual))
    if not expected and not actual:
        return
    if finding.change is Change.MODIFIED:
        line = Text(overflow="fold")
        for name in _names({**expected, **actual}):
            was, now = expected.get(name), actual.get(name)
            line.append(", " if line else "").append(f"{printable(name)} ")
            line.append("nothing" if was is None else _short(name, was), style="green").append(" → ")
            line.append("nothing" if now is None else _short(name, now), style="red")
        yield line
    else:
        fields, verb = (actual, "is") if finding.change is Change.ADDED else (expected, "was")
        names = [name for name in _names(fields) if (name, fields[name]) != ("kind", finding.kind)]  # it stands above
        told = ", ".join(f"{printable(name)} {_short(name, fields[name])}" for name in names)
        yield Text(f"{verb}: {told}", overflow="fold")


def _shortened(expected: Mapping[str, str], actual: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Both, with long values cut: where they are the same at first, at the beginning, so that the difference shows."""
    sides: tuple[dict[str, str], dict[str, str]] = {}, {}
    for names in ({"live", "configured"}, *({name} for name in {*expected, *actual} - {"live", "configured"})):
        values = {one[name] for one in (expected, actual) for name in names if name in one}
        start = 0
        if len(values) > 1 and max(map(len, values)) > _LONGEST:
            apart = (at for at, letters in enumerate(zip(*values, strict=False)) if len(set(letters)) > 1)
            start = max(0, next(apart, min(map(len, values))) - _BEFORE)
        for side, fields in zip(sides, (expected, actual), strict=True):
            side.update({name: _cut(fields[name], start) for name in names if name in fields})
    return sides


def _cut(value: str, start: int) -> str:
    part = ("…" if start else "") + value[start:]
    return part if len(part) <= _LONGEST else f"{part[:_LONGEST]}… ({len(value)} characters)"


def _without_sides(fields: Mapping[str, str], told: str) -> dict[str, str]:
    """What is left to tell once both sides of a fact are told; what only rules ask for is not for eyes."""
    done = ("image_kernel", "live", "configured") if told else ("image_kernel",)
    return {name: value for name, value in fields.items() if name not in done}


def _session(actual: Mapping[str, str]) -> Text:
    def of(name: str) -> str:
        return printable(actual.get(name, "")) or "?"

    times = "" if of("times") == "1" else f", {of('times')} times until {of('last_at')}"
    live = ", still there" if of("live") == "yes" else ""
    key = f" with key {of('key')}" if "key" in actual else ""
    sure = f", {of('confidence')}" if "confidence" in actual else ""
    said = f"{of('user')} from {of('source')}{key} at {of('started_at')}{times}{live}; seen in {of('evidence')}{sure}"
    return Text(said, overflow="fold")


def _names(fields: Mapping[str, str]) -> list[str]:
    return sorted(fields, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def _short(name: str, value: str) -> str:
    """A digest's first twelve digits are enough for eyes; an empty value must be seen to be empty."""
    if name in _DIGESTS and len(value) >= _SHORTEST_DIGEST:
        return printable(value[:12]) + "…"
    return printable(value) or '""'


def _notes(look: Look) -> Iterator[Text]:
    judgement = look.judgement
    if judgement.explained:
        rules = Counter(finding.rule for finding in judgement.explained)
        told = ", ".join(f"{printable(rule)} {number}" for rule, number in sorted(rules.items()))
        yield Text(f"explained: {told}", style="dim", overflow="fold")
    if look.coverage.facts:
        coverage = look.coverage
        yield Text(printable(covered(coverage.entries, coverage.facts, coverage.unbaked)), style="dim", overflow="fold")
    for sentence in kept((one.kind, one.how, one.why) for one in look.coverage.kept):
        yield Text(f"not seen: {printable(sentence)}", style="dim", overflow="fold")
    if accepted := sum(1 for one in judgement.findings if one.suppressed_by):
        yield Text(f"accepted: {count(accepted, 'finding')} (driftd accepted)", style="dim")
    if judgement.ignored:
        yield Text(f"left out by rules that ignore: {judgement.ignored}", style="dim")
    if look.hint:
        yield _next(printable(look.hint))
    elif judgement.verdict in (Verdict.DRIFTED, Verdict.TAMPERED):
        first = gather(judgement.findings)[0].signature
        known = look.instance.group  # the store remembers members of groups only, and no directory
        accept = f'if that was you: driftd accept {first} --for 7d --reason "…"; else replace it'
        yield _next(accept if known else "what is meant belongs into the image, or into a policy (--policy FILE)")


def _next(what: str) -> Text:
    line = Text("next: ", style="cyan", overflow="fold")
    return line.append(what, style="default")


# --- all of them -----------------------------------------------------------------------------------------------------


def _summary(looks: Sequence[Look]) -> Text:
    verdicts = Counter(look.judgement.verdict for look in looks)
    line = Text(count(len(looks), "instance"), style="bold")
    for at, verdict in enumerate(one for one in Verdict if verdicts[one]):
        line.append(": " if at == 0 else ", ")
        line.append(f"{verdicts[verdict]} {verdict}", style=VERDICT_STYLES[verdict])
    return line
