"""The report as SARIF 2.1.0 (OASIS), for code scanning and whatever else gathers results of analyses.

One run, one invocation an instance, one result a finding. A policy's rule is one SARIF rule per kind, change and
severity, since readers take the severity from the rule. A result's place is the path below its instance's name, so that
the same file on two instances is two places; ``partialFingerprints`` has driftd's signature.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_from_bytes

from driftd import __version__
from driftd.core import zones
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Finding, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.wording import printable, shown
from driftd.doors.report import told

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "driftdSignature/v1"
_BASE = "FLEET"
_Rules = dict[str, tuple[int, dict[str, Any]]]  # by id, each with its place in the list
_LEVELS: Mapping[Severity, str] = {
    Severity.INFO: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
# GitHub's scale: from 9.0 critical, from 7.0 high, from 4.0 medium, from 0.1 low.
_SCORES: Mapping[Severity, str] = {
    Severity.INFO: "0.1",
    Severity.LOW: "2.5",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}
_HELP = (
    "A server is baked as an image and never changed after that: what its image does not explain is drift. "
    "See what differs in the result and who was there with: driftd explain SIGNATURE. If the change was meant, it "
    'belongs into the image; for a time, driftd accept SIGNATURE --for 7d --reason "..." keeps it from counting. '
    "Otherwise the instance is to be replaced, not repaired."
)
_HELP_MARKDOWN = re.sub(r"driftd explain SIGNATURE|driftd accept [^;]*?\"\.\.\.\"", r"`\g<0>`", _HELP)
_CHANGES = {"added": "is there and not in the image", "removed": "is in the image and gone", "modified": "has changed"}


def render(looks: Sequence[Look], now: datetime) -> str:
    """The whole log as text with a line feed at its end. It is ASCII."""
    rules: _Rules = {}
    results = [_result(one, look, at, rules) for at, look in enumerate(looks) for one in look.judgement.findings]
    driver = {"name": "driftd", "semanticVersion": __version__, "rules": [rule for _, rule in rules.values()]}
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(look) for look in looks],
        "originalUriBaseIds": {
            _BASE: {"description": {"text": "The root directory of each instance, under the instance's name."}}
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"madeAt": _time(now)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, separators=(",", ":")) + "\n"


def _text(said: str) -> str:
    """A message's text: brackets would be a link, braces a place for an argument (sections 3.11.5 and 3.11.6)."""
    return said.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# --- results ---------------------------------------------------------------------------------------------------------


def _result(finding: Finding, look: Look, invocation: int, rules: _Rules) -> dict[str, Any]:
    rule = f"{printable(finding.rule)}/{printable(finding.kind)}-{finding.change}/{finding.severity}"
    if rule not in rules:
        rules[rule] = (len(rules), _rule(rule, finding))
    said = f"{told.what(finding)}: {printable(finding.because)}."
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": rules[rule][0],
        "kind": "fail",
        "level": _LEVELS[finding.severity],
        "message": {"text": _text("\n".join([said, *told.lines(finding, look)]))},
        "locations": [_location(finding, look)],
        "partialFingerprints": {FINGERPRINT: finding.signature},
        "provenance": {"invocationIndex": invocation},
        "properties": _properties(finding, look),
    }
    if finding.suppressed_by:
        justification = printable(finding.suppressed_by)
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": justification}]
    return result


def _location(finding: Finding, look: Look) -> dict[str, Any]:
    """Where: a file's own path; of anything else the instance, and its name as a logical place."""
    under = told.name(look.instance).encode()
    path = finding.subject if finding.kind in PATH_KINDS else b"/"
    place: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(under + b"/" + path.lstrip(b"/")), "uriBaseId": _BASE}}
    }
    if finding.kind not in PATH_KINDS:
        subject = shown(finding.subject)
        kind = printable(finding.kind)
        full = f"{told.name(look.instance)}/{kind}/{subject}"
        place["logicalLocations"] = [{"name": subject, "kind": kind, "fullyQualifiedName": full}]
    return place


def _uri(path: bytes) -> str:
    """A relative reference without any dot segment: bytes are percent-encoded, whatever they are."""
    parts = path.split(b"/")
    return "/".join("%2E" * len(part) if part in (b".", b"..") else quote_from_bytes(part) for part in parts)


def _properties(finding: Finding, look: Look) -> dict[str, Any]:
    instance, made = look.instance, told.tied_to(finding, look)
    fields: dict[str, Any] = {
        "instance": printable(instance.id),
        "image": printable(instance.image),
        "kind": printable(finding.kind),
        "subject": shown(finding.subject),
        "change": str(finding.change),
        "severity": str(finding.severity),
        "action": str(finding.action),
        "signature": finding.signature,
        "expected": _plain(finding.expected),
        "actual": _plain(finding.actual),
    }
    if fields["subject"].encode() != finding.subject:
        fields["subjectBytes"] = base64.b64encode(finding.subject).decode("ascii")
    if made is not None:
        fields["attribution"] = {"level": str(made.level), "says": told.whose(finding, look)}
    return fields


def _plain(fields: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(value) for name, value in fields.items()}


def _rule(name: str, finding: Finding) -> dict[str, Any]:
    kind = printable(finding.kind)
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in (kind, finding.change, finding.severity)),
        "shortDescription": {"text": _text(f"A {kind} {_CHANGES[finding.change]}")},
        "fullDescription": {"text": _text(f"A {kind} {_CHANGES[finding.change]}: {printable(finding.because)}.")},
        "help": {
            "text": _text(_HELP),
            "markdown": _HELP_MARKDOWN,
        },
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        "properties": {
            "security-severity": _SCORES[finding.severity],
            "problem.severity": _LEVELS[finding.severity].replace("note", "recommendation"),
            "precision": "very-high",
            "tags": ["security", "drift", kind],
        },
    }


# --- instances -------------------------------------------------------------------------------------------------------


def _invocation(look: Look) -> dict[str, Any]:
    """One look: whether it saw, and what has to be known of it."""
    instance, judgement = look.instance, look.judgement
    return {
        "executionSuccessful": judgement.verdict is not Verdict.UNKNOWN,
        "startTimeUtc": _time(look.at - timedelta(seconds=look.duration_s)),
        "endTimeUtc": _time(look.at),
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": _text(f"{told.view(look)}: {said}")}, "timeUtc": _time(look.at)}
            for level, said in _notifications(look)
        ],
        "properties": {
            "id": printable(instance.id),
            "group": printable(instance.group),
            "slot": printable(instance.slot),
            "address": printable(instance.address),
            "image": printable(instance.image),
            "zone": printable(zones.named(instance.zone)),
            "verdict": str(judgement.verdict),
            "reason": printable(judgement.reason),
            "root": look.root.hex(),
            "sessions": [told.session(one) for one in look.others],
            "explained": len(judgement.explained),
            "ignored": judgement.ignored,
        },
    }


def _notifications(look: Look) -> Iterator[tuple[str, str]]:
    judgement = look.judgement
    if judgement.verdict is Verdict.UNKNOWN:
        hint = f"; next: {printable(look.hint)}" if look.hint else ""
        yield "error", f"could not look: {printable(judgement.reason)}{hint}"
    else:
        yield "none", f"{judgement.verdict}: {printable(judgement.reason)}"
    for note in told.notes(look):
        yield ("warning" if note.startswith(told.NOT_SEEN) else "none"), note
