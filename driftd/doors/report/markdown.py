"""The report as Markdown, for a ticket or a pull request (GitHub's dialect, which GitLab and others read).

Nothing from an instance is ever markup, a link, a mention or an emoji there: a word of a sentence that could be any of
it stands in a code span, as names always do. It keeps within what a comment on GitHub may hold, and says what it left
out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from driftd.core.causes import Cause, gather
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import Look
from driftd.core.wording import count, printable, shown
from driftd.doors.report import causes, told
from driftd.doors.report.table import evidence

MOST = 60_000  # characters: a comment on GitHub holds 65,536
_MOST_CAUSES = 20  # of one instance
_DIFF = 20  # lines of one comparison
_NAMED = 200  # instances without findings that are named
# A word that no dialect makes anything of: letters, digits and punctuation where it does no harm. A number with
# a point or a bracket behind it, or a dash alone, would begin a list.
_PLAIN = re.compile(
    r"""(?![0-9]+[.)]$)["'(]*(?:[A-Za-z0-9]+(?:['-][a-z]+)*|[0-9]+(?:[.,:-][0-9]+)*|[→…?])["')]*[.,;:…]?"""
)
_TAIL = re.compile(r"[,;:]$")
_ORDER = (Verdict.TAMPERED, Verdict.DRIFTED, Verdict.UNKNOWN)


def render(looks: Sequence[Look], now: datetime) -> str:
    """The whole report as text with a line feed at its end, what needs a person first."""
    verdicts = Counter(look.judgement.verdict for look in looks)
    numbers = ", ".join(f"{verdicts[one]} {one}" for one in Verdict if verdicts[one])
    parts = [
        f"# driftd: {count(len(looks), 'instance')}{': ' if numbers else ''}{numbers}\n",
        f"Looked at until {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC.\n",
        *(f"- {severity}: {words(said)}" for severity, said in causes.lines(looks)),
        "",
    ]
    rest = _still(looks)
    room = MOST - len("\n".join([*parts, *rest]))
    ill = sorted((look for look in looks if look.judgement.verdict in _ORDER), key=_rank)
    for at, look in enumerate(ill):
        block = "\n".join(_block(look))
        if len(block) > room:
            left = count(len(ill) - at, "more instance")
            parts.append(f"There is no room here for {left}: `--format json` and `--format html` have them all.\n")
            break
        parts.append(block)
        room -= len(block) + 1
    return "\n".join([*parts, *rest]).rstrip("\n") + "\n"


def _rank(look: Look) -> int:
    return _ORDER.index(look.judgement.verdict)


# --- text ------------------------------------------------------------------------------------------------------------


def code(text: str) -> str:
    """A code span with exactly this text, in which nothing is ever taken for anything else."""
    text = printable(text) or '""'
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def words(sentence: str) -> str:
    """A sentence: words that could be read as markup, as a link or as a mention stand in code spans."""
    made = []
    for plain, group in groupby(printable(sentence).split(), lambda word: _PLAIN.fullmatch(word) is not None):
        text = " ".join(group)
        tail = "" if plain else next(iter(_TAIL.findall(text)), "")
        text = text.removesuffix(tail)
        made.append(text + tail if plain or not text else code(text) + tail)
    return " ".join(made)


# --- one instance ----------------------------------------------------------------------------------------------------


def _block(look: Look) -> Iterator[str]:
    instance, judgement = look.instance, look.judgement
    yield f"## {judgement.verdict}: {code(told.view(look))}\n"
    if particulars := told.particulars(instance):
        yield ", ".join(code(one) for one in particulars) + "\n"
    yield f"{words(judgement.reason)}\n"
    found = gather(judgement.findings)
    for cause in found[:_MOST_CAUSES]:
        yield from _cause(cause, look)
    if left := found[_MOST_CAUSES:]:
        yield f"- and {sum(one.count for one in left)} more: `--format json` has them all"
    if found:
        yield ""
    for one in look.others:
        yield f"- session: {words(told.session(one))}"
    for note in told.notes(look):
        yield f"- {words(note)}"
    step, command = told.step_and_command(look)
    if step:
        yield f"- **next**: {f'{step}{code(command)}{told.ELSE}' if command else words(step)}"
    yield ""


def _cause(cause: Cause, look: Look) -> Iterator[str]:
    if not cause.kind:
        for one in cause.members:
            yield from _finding(one, look, "")
        return
    accepted = "accepted, " if cause.accepted else ""
    yield f"- **{accepted}{cause.severity}** {words(cause.sentence)} ({code(cause.signature)})"
    full, left = causes.told(cause)
    for one in cause.members[:full]:
        yield from _finding(one, look, "  ")
    if left:
        yield f"  - and {left} more of it: `--format json` has them all"


def _finding(finding: Finding, look: Look, indent: str) -> Iterator[str]:
    accepted = "accepted, " if finding.suppressed_by else ""
    what = f"{words(finding.kind)} {code(shown(finding.subject))} {finding.change}"
    yield f"{indent}- **{accepted}{finding.severity}** {what}"
    inner = f"{indent}  "
    exhibit = told.exhibit_of(finding, look)
    if exhibit is not None:
        lines = list(told.difference(exhibit))
        if exhibit.comparison.settings:
            yield from (f"{inner}- {words(line)}" for line in lines)
        elif lines:
            yield from _diff(lines, inner)
    for line in evidence(finding):
        yield f"{inner}- {words(line.plain)}"
    yield f"{inner}- {words(finding.because)}"
    if said := told.whose(finding, look):
        yield f"{inner}- {words(said)}"
    if finding.suppressed_by:
        yield f"{inner}- {words(finding.suppressed_by)}"
    yield f"{inner}- {code(finding.signature)}, {code(finding.rule)}"


def _diff(lines: Sequence[str], indent: str) -> Iterator[str]:
    """A fenced block that nothing in it can end, inside of the finding's list item."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{indent}- what it says:"
    yield ""
    yield f"{indent}  {fence}diff"
    yield from (f"{indent}  {line}" for line in lines[:_DIFF])
    yield f"{indent}  {fence}"
    if len(lines) > _DIFF:
        yield f"{indent}  and {len(lines) - _DIFF} lines more: `--format json` has them all"
    yield ""


def _still(looks: Sequence[Look]) -> list[str]:
    """Those that need nobody, by verdict."""
    lines = []
    for verdict in (Verdict.EXPLAINED, Verdict.CLEAN):
        names = [told.view(look) for look in looks if look.judgement.verdict is verdict]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"{verdict}: {', '.join(code(one) for one in names[:_NAMED])}{more}\n")
    return lines
