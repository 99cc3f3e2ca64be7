"""The report as JUnit XML, for continuous integration: one suite an instance.

The first case of a suite is the look itself: an error where nothing could be seen. Each cause is a case that fails, and
one that was accepted is a case that was skipped. A clean instance is a suite of one case that passes. XML cannot hold
control characters, not even escaped: names arrive here without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from driftd.core.causes import Cause, gather
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.wording import printable
from driftd.doors.report import told

MEMBERS = 200  # of one cause that are told: readers of JUnit hold a whole case in memory


def render(looks: Sequence[Look], _now: datetime) -> str:
    """The whole document as text with a line feed at its end."""
    suites = Element("testsuites", name="driftd")
    made = [_suite(suites, look) for look in looks]
    for count in ("tests", "failures", "errors"):
        suites.set(count, str(sum(int(one.get(count, "0")) for one in made)))
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _suite(suites: Element, look: Look) -> Element:
    instance, judgement = look.instance, look.judgement
    suite = SubElement(suites, "testsuite", name=told.view(look))
    properties = SubElement(suite, "properties")
    for name, value in (
        ("id", instance.id),
        ("group", instance.group),
        ("address", instance.address),
        ("image", instance.image),
        ("verdict", judgement.verdict),
        ("reason", judgement.reason),
        ("root", look.root.hex()),
    ):
        SubElement(properties, "property", name=name, value=printable(value))
    causes = gather(judgement.findings)
    blind = judgement.verdict is Verdict.UNKNOWN
    case = _case(suite, look, "looked at", look.duration_s)
    if blind:
        error = SubElement(case, "error", type=judgement.verdict, message=printable(judgement.reason))
        error.text = told.next_step(look) or None
    for cause in causes:
        _told(_case(suite, look, printable(cause.sentence), 0.0), cause, look)
    notes = [printable(judgement.reason), *told.notes(look), *(told.session(one) for one in look.others)]
    notes += [f"next: {step}"] if (step := told.next_step(look)) else []
    SubElement(suite, "system-out").text = "\n".join(notes)
    skipped = sum(1 for one in causes if one.accepted)
    for name, number in (
        ("tests", 1 + len(causes)),
        ("failures", len(causes) - skipped),
        ("errors", int(blind)),
        ("skipped", skipped),
    ):
        suite.set(name, str(number))
    suite.set("time", f"{look.duration_s:.3f}")
    suite.set("timestamp", look.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    suite.set("hostname", printable(instance.address or instance.id))
    return suite


def _case(suite: Element, look: Look, name: str, seconds: float) -> Element:
    classname = "driftd." + told.view(look).replace(".", "_").replace("/", ".")
    return SubElement(suite, "testcase", name=name, classname=classname, time=f"{seconds:.3f}")


def _told(case: Element, cause: Cause, look: Look) -> None:
    """What a cause did, in the words that a person reads in a build's page."""
    if cause.accepted:
        SubElement(case, "skipped", type="accepted", message=printable(cause.members[0].suppressed_by))
        return
    message = f"{cause.severity}: {printable(cause.sentence)}"
    failure = SubElement(case, "failure", type=cause.severity, message=message)
    parts = []
    for one in cause.members[:MEMBERS]:
        parts += [f"{one.severity} {told.what(one)}", *(f"  {line}" for line in told.lines(one, look))]
    if cause.count > MEMBERS:
        parts.append(f"and {cause.count - MEMBERS} more of it: --format json has them all")
    failure.text = "\n".join(parts)
