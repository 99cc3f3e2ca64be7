"""What several formats say of a finding and of its instance, as plain lines that are safe to print anywhere.

Names go through ``shown`` and sentences through ``printable``: what comes from an instance has no control character, no
directional mark and no line feed left. Markup of the format itself is for each format to escape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from driftd.core import zones
from driftd.core.attributed import Attribution, Level
from driftd.core.causes import gather
from driftd.core.difference import Change
from driftd.core.facts import Instance, Session
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import DISK, Look
from driftd.core.shown import Exhibit
from driftd.core.wording import attribution, count, covered, kept, printable, shown
from driftd.doors.report.table import evidence

LINES = 60  # of a comparison, where a format has no room for all of them
DRIFT = frozenset({Verdict.DRIFTED, Verdict.TAMPERED})
EMPTY = '""'  # an empty value must be seen to be empty
ELSE = "; else replace it"
NOT_SEEN = "not seen:"
MEANT = "what is meant belongs into the image, or into a policy"


def name(instance: Instance) -> str:
    """What people call it."""
    return printable(instance.slot or instance.id)


def view(look: Look) -> str:
    """The same, where one of its looks is at its disk: that one says so."""
    return f"{name(look.instance)} (its disk)" if look.means == DISK and look.instance.group else name(look.instance)


def uid(look: Look) -> str:
    """An instance's id, and another one for its disk."""
    return printable(look.instance.id) + (":disk" if look.means == DISK and look.instance.group else "")


def particulars(instance: Instance) -> list[str]:
    """What tells it from others beside its name: id, address, image, zone."""
    found = [instance.id if instance.slot else "", instance.address, instance.image, zones.named(instance.zone)]
    return [printable(one) for one in found if one]


def what(finding: Finding) -> str:
    """``file /etc/motd modified``."""
    return f"{printable(finding.kind)} {shown(finding.subject)} {finding.change}"


def exhibit_of(finding: Finding, look: Look) -> Exhibit | None:
    """What can be shown of a file's content."""
    return look.shown.get(finding.subject) if finding.kind == "file" else None


def tied_to(finding: Finding, look: Look) -> Attribution | None:
    """Whom the finding is tied to; None where that says nothing."""
    made = look.attributions.get(finding.signature)
    return None if made is None or made.level is Level.NONE else made


def whose(finding: Finding, look: Look) -> str:
    """``tied_to`` as a sentence; "" for nothing."""
    made = tied_to(finding, look)
    return "" if made is None else printable(attribution.clause(made.level, made.session, made.why))


def lines(finding: Finding, look: Look) -> Iterator[str]:
    """All there is to say of a finding, beside what it is: what differs, why it matters, whose it is."""
    exhibit = exhibit_of(finding, look)
    if exhibit is not None:
        yield from difference(exhibit)
    for line in evidence(finding):
        yield line.plain
    yield printable(finding.because)
    if said := whose(finding, look):
        yield said
    if finding.suppressed_by:
        yield printable(finding.suppressed_by)
    yield f"{finding.signature}  {printable(finding.rule)}"


def difference(exhibit: Exhibit) -> Iterator[str]:
    """What a file says otherwise."""
    made = exhibit.comparison
    for one in made.settings:
        was, now = ("nothing" if side is None else printable(side) for side in (one.before, one.after))
        yield f"{printable(one.path)} {was} → {now}"
    if not made.settings:
        yield from compared(made.lines)
    if made.note:
        yield printable(made.note)


def compared(made: Sequence[str]) -> Iterator[str]:
    """The lines of a comparison, so many of them at most."""
    for line in made[:LINES]:
        yield printable(line.replace("\t", "    "))
    if len(made) > LINES:
        yield f"and {len(made) - LINES} lines more: --format json has them all"


def session(one: Session) -> str:
    """Who was there: ``eve by ssh from 10.0.0.9 with key SHA256:…, since 2026-01-31 08:00:00 UTC, still there``."""
    source = printable(one.source) or "an unknown address"
    said = f"{printable(one.user) or 'somebody'} by {printable(one.door)} from {source}"
    if key := one.key_id or one.key:
        said += f" with key {printable(key)}"
    said += f", at {one.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if one.live:
        said += ", still there"
    elif one.ended_at is not None:
        said += f", until {one.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    return said + (f" ({printable(one.confidence)})" if one.confidence else "")


def notes(look: Look) -> Iterator[str]:
    """What has to be known of a look beside its findings: what was seen, what was kept from it, what rules left out."""
    coverage, judgement = look.coverage, look.judgement
    if judgement.explained:
        yield f"{count(len(judgement.explained), 'difference')} explained by rules"
    if coverage.facts:
        yield printable(covered(coverage.entries, coverage.facts, coverage.unbaked))
    for sentence in kept((one.kind, one.how, one.why) for one in coverage.kept):
        yield printable(f"{NOT_SEEN} {sentence}")
    if accepted := sum(1 for one in judgement.findings if one.suppressed_by):
        yield f"accepted: {count(accepted, 'finding')}"
    if judgement.ignored:
        yield f"left out by rules that ignore: {judgement.ignored}"


def next_step(look: Look) -> str:
    """What to do about it; "" for nothing."""
    step, command = step_and_command(look)
    return f"{step}{command}{ELSE}" if command else step


def step_and_command(look: Look) -> tuple[str, str]:
    """The same in two: what is said, and the command that it ends in before ``ELSE``, "" for none."""
    if look.hint:
        return printable(look.hint), ""
    if look.judgement.verdict not in DRIFT or not look.judgement.findings:
        return "", ""
    if not look.instance.group:
        return MEANT, ""
    first = gather(look.judgement.findings)[0].signature
    return "if that was you: ", f'driftd accept {first} --for 7d --reason "…"'


def sides(finding: Finding) -> Iterator[tuple[str, str, str]]:
    """Of something that changed, field by field: its name, what was baked and what is there, "" for nothing there."""
    for one in sorted({*finding.expected, *finding.actual} - {"image_kernel"}):
        yield printable(one), side(finding.expected.get(one)), side(finding.actual.get(one))


def side(value: str | None) -> str:
    """A value as it is shown in its own place: nothing for none, and an empty one as such."""
    return "" if value is None else printable(value) or EMPTY


def fields(finding: Finding) -> str:
    """Of something that came or went, all that is known of it: ``is: mode 0755, uid 0``; of a session who and when."""
    if finding.kind == "session":
        return "\n".join(line.plain for line in evidence(finding))
    known, verb = (finding.actual, "is") if finding.change is Change.ADDED else (finding.expected, "was")
    said = [
        f"{printable(one)} {printable(value) or EMPTY}"
        for one, value in sorted(known.items())
        if (one, value) != ("kind", finding.kind) and one != "image_kernel"
    ]
    return f"{verb}: {', '.join(said)}" if said else ""
