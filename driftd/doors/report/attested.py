"""An attestation for a person's eyes, on one screen, and for a program.

Pure: a verified attestation in, something that Rich can print out. Names are escaped and never taken for markup.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from driftd.core import attestation
from driftd.core.attestation import Attestation, Failure
from driftd.core.attested import Verified
from driftd.core.findings import Severity
from driftd.core.wording import attested as wording
from driftd.core.wording import count, lasting, listed, printable
from driftd.core.wording.trust import short
from driftd.doors.cli.lines import labelled

SCHEMA = "driftd.attestation/1"
_MEANS = {
    "ssh": "over SSH",
    "ssm": "by Run Command of AWS",
    "local": "in a directory of the machine that driftd ran on",
    "": "by means not told",
}
_FAILURES = {
    Failure.DRIFTED: "it is not as its image",
    Failure.TAMPERED: "somebody tampered with it",
    Failure.TAINTED: "it is tainted: somebody was on it",
    Failure.UNSIGNED: "nobody who is trusted there vouches for the manifest",
    Failure.PROVISIONAL: "nobody vouches for the server that the manifest was read off",
}


def as_json(found: Verified, now: datetime) -> str:
    """The predicate, as far as this driftd knows its fields; who signed it; ``age``, the look's in whole seconds."""
    predicate = json.loads(attestation.encode(found.attestation))["predicate"]
    age = max(0, math.ceil((now - found.attestation.seen.started).total_seconds()))
    verified = {"schema": SCHEMA, "verified": True, "age": age, "keys": list(found.keys), "statement": found.sha256}
    return json.dumps(verified | predicate)


def screen(found: Verified, now: datetime) -> RenderableType:
    """What is attested, by whom, until when, and how it was seen."""
    made = found.attestation
    style = "bold red" if made.failures else "bold green"
    title = Text.assemble((made.result.value, style), "  ", (printable(made.instance), "bold"))
    title.append(f"  {printable(made.slot or made.group)}", style="dim")
    grid = labelled()
    before = ""
    for label, text in _rows(found, now):
        grid.add_row(label if label != before else "", text)
        before = label
    return Group(title, Padding(grid, (0, 0, 0, 2)))


def _rows(found: Verified, now: datetime) -> Iterator[tuple[str, Text]]:
    made = found.attestation
    yield "verdict", Text(f"{made.verdict.value}: {printable(made.reason)}")
    for failure in made.failures:
        yield "no pass", Text(_FAILURES[failure], "red")
    if made.taint is not None:
        since = f", since {wording.when(made.taint.since)}" if made.taint.since else ""
        yield "taint", Text(printable(made.taint.reason) + since, "red")
    yield "image", Text(printable(made.stated.image))
    yield "manifest", _manifest(made)
    yield "seen", Text(wording.holding(made.seen.started, now, recalled=made.seen.recalled))
    yield "how", Text(_how(made))
    if made.seen.coverage is not None:
        yield "not seen", _not_seen(made)
    if made.rules is not None:
        names = [printable(name) for name in made.rules.names]
        yield "policy", Text(f"{listed(names, most=8)} ({made.rules.sha256[:16]})")
    yield "findings", Text(_findings(made))
    for one in made.acceptances:
        said = f"no. {one.number} by {one.owner} until {wording.when(one.expires)}: {one.reason}"
        yield "accepted", Text(printable(said), "yellow")
    yield "signed", Text(f"by {listed([short(key) for key in found.keys])}, driftd {printable(made.generator)}")
    left = made.valid_until - now
    yield "holds", Text(f"until {wording.when(made.valid_until)}, {lasting(left)} more")


def _manifest(made: Attestation) -> Text:
    stated = made.stated
    if not stated.signers:
        return Text(f"not signed ({stated.sha256[:16]})", "yellow")
    signers = listed([short(key) for key in stated.signers])
    said = Text(f"signed by {signers}, sequence {stated.sequence} ({stated.sha256[:16]})")
    if stated.provisional:
        said.append("; provisional", "yellow")
    return said


def _how(made: Attestation) -> str:
    seen = made.seen
    parts = [_MEANS.get(seen.means, printable(seen.means))]
    if seen.extent:
        parts.append(f"extent: {seen.extent}")
    if seen.coverage is not None:
        parts.append(f"{seen.coverage.entries:,} entries, {sum(seen.coverage.facts.values()):,} facts")
    if seen.finished is not None:
        parts.append(f"in {(seen.finished - seen.started).total_seconds():.1f} s")
    return ", ".join(parts)


def _not_seen(made: Attestation) -> Text:
    found = made.seen.coverage
    assert found is not None  # noqa: S101  # the caller looked
    parts = []
    if found.unreadable:
        parts.append(f"{count(found.unreadable, 'path')} that could not be read")
    if found.covered:
        parts.append(f"{count(found.covered, 'directory', 'directories')} below a mount")
    if kinds := sorted({printable(one.kind) for one in found.kept}):
        parts.append(f"in full: {listed(kinds, most=8)}")
    if found.unbaked:
        parts.append(f"compared with nothing: {listed([printable(kind) for kind in found.unbaked], most=8)}")
    return Text("; ".join(parts) or "nothing is known to be missing", "yellow" if parts else "")


def _findings(made: Attestation) -> str:
    counted = [f"{made.findings[one]} {one.value}" for one in reversed(Severity) if made.findings.get(one)]
    said = ", ".join(counted) or "none open"
    if made.accepted:
        said += f"; {made.accepted} accepted"
    if made.seen.explained is not None:
        said += f"; {made.seen.explained} differences explained"
    return said
