"""The report as events of the Open Cybersecurity Schema Framework (OCSF), one JSON object a line, for SIEMs.

A look is a Compliance Finding (class 2003): pass, fail, or unknown where nothing could be seen. Each finding is a
Detection Finding (class 2004), suppressed where somebody accepted it. What OCSF has no word for stands under
``unmapped``. Of version 1.5.0; what is used of it is the same in every version since.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from posixpath import basename
from typing import Any

from driftd import __version__
from driftd.core import zones
from driftd.core.difference import Change
from driftd.core.expect import PATH_KINDS
from driftd.core.facts import Instance, Session
from driftd.core.findings import Finding, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.wording import printable, shown
from driftd.doors.report import told

VERSION = "1.5.0"
_SEVERITIES: Mapping[Severity, tuple[int, str]] = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
# Compliance: what a verdict amounts to.
_STATUSES: Mapping[Verdict, tuple[int, str]] = {
    Verdict.CLEAN: (1, "Pass"),
    Verdict.EXPLAINED: (1, "Pass"),
    Verdict.DRIFTED: (3, "Fail"),
    Verdict.TAMPERED: (3, "Fail"),
    Verdict.UNKNOWN: (0, "Unknown"),
}
# The type of a file; of a device it is not known here whether it is one of blocks, so that it is "other".
_TYPES: Mapping[str, int] = {"file": 1, "directory": 2, "device": 99, "socket": 5, "fifo": 6, "link": 7}
_CONTROL = "an instance is as its image was baked, and what differs is explained"


def render(looks: Sequence[Look], _now: datetime) -> str:
    """One event a line, each with a line feed at its end. It is ASCII."""
    return "".join(json.dumps(event, separators=(",", ":")) + "\n" for look in looks for event in events(look))


def events(look: Look) -> Iterator[dict[str, Any]]:
    """The look itself, then its findings."""
    yield _looked(look)
    for finding in look.judgement.findings:
        yield _found(finding, look)


def _event(look: Look, class_uid: int, class_name: str, severity: tuple[int, str]) -> dict[str, Any]:
    """What every event has. Each is a Create: a report knows no other one before it."""
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": class_uid,
        "class_name": class_name,
        "type_uid": class_uid * 100 + 1,
        "type_name": f"{class_name}: Create",
        "time": _time(look.at),
        "severity_id": severity[0],
        "severity": severity[1],
        "metadata": {
            "version": VERSION,
            "product": {"name": "driftd", "vendor_name": "driftd", "version": __version__},
        },
        "resources": [_resource(look.instance)],
    }


def _time(when: datetime) -> int:
    """Milliseconds since 1970."""
    return round(when.timestamp() * 1000)


def _resource(instance: Instance) -> dict[str, Any]:
    data = {"image": instance.image, "address": instance.address, "zone": zones.named(instance.zone)}
    made: dict[str, Any] = {
        "uid": printable(instance.id),
        "name": told.name(instance),
        "type": "instance",
        "data": {name: printable(value) for name, value in data.items() if value},
    }
    if instance.group:
        made["group"] = {"name": printable(instance.group)}
    return made


def _looked(look: Look) -> dict[str, Any]:
    verdict, reason = look.judgement.verdict, printable(look.judgement.reason)
    worst = max((one.severity for one in look.judgement.findings), key=lambda one: one.rank, default=Severity.INFO)
    severity = (0, "Unknown") if verdict is Verdict.UNKNOWN else _SEVERITIES[worst]
    status_id, status = _STATUSES[verdict]
    event = _event(look, 2003, "Compliance Finding", severity)
    event |= {
        "message": f"{told.view(look)} is {verdict}: {reason}",
        "finding_info": {"uid": told.uid(look), "title": f"{verdict}: {reason}", "types": ["look"]},
        "compliance": {
            "control": _CONTROL,
            "standards": ["driftd"],
            "status_id": status_id,
            "status": status,
            "status_details": [reason, *told.notes(look)],
        },
        "status_detail": str(verdict),
        "unmapped": {
            "verdict": str(verdict),
            "root": look.root.hex(),
            "explained": len(look.judgement.explained),
            "ignored": look.judgement.ignored,
            "sessions": [told.session(one) for one in look.others],
        },
    }
    if step := told.next_step(look):
        event["remediation"] = {"desc": step}
    return event


def _found(finding: Finding, look: Look) -> dict[str, Any]:
    event = _event(look, 2004, "Detection Finding", _SEVERITIES[finding.severity])
    made = told.tied_to(finding, look)
    event |= {
        "message": f"{told.what(finding)} on {told.view(look)}",
        "finding_info": {
            "uid": f"{told.uid(look)}:{finding.signature}",
            "title": told.what(finding),
            "desc": printable(finding.because),
            "types": [printable(finding.kind)],
            "analytic": {"name": printable(finding.rule), "type_id": 1, "type": "Rule"},
        },
        "status_id": 3 if finding.suppressed_by else 1,
        "status": "Suppressed" if finding.suppressed_by else "New",
        "evidences": [_evidence(finding, made.session if made else None)],
        "unmapped": _unmapped(finding, look),
    }
    if finding.suppressed_by:
        event["status_detail"] = printable(finding.suppressed_by)
    return event


def _evidence(finding: Finding, session: Session | None) -> dict[str, Any]:
    sides = (("expected", finding.expected), ("actual", finding.actual))
    data = {side: {printable(name): printable(value) for name, value in fields.items()} for side, fields in sides}
    made: dict[str, Any] = {"data": data}
    if finding.kind in PATH_KINDS:
        made["file"] = _file(finding)
    if session is not None and session.user:
        made["actor"] = {"user": {"name": printable(session.user)}}
        if session.key:
            made["actor"]["user"]["credential_uid"] = printable(session.key)
        made["actor"]["session"] = {"created_time": _time(session.started_at), "is_remote": session.door != "console"}
    return made


def _file(finding: Finding) -> dict[str, Any]:
    fields = finding.expected if finding.change is Change.REMOVED else finding.actual
    path = shown(finding.subject)
    kind = _TYPES[finding.kind]
    made: dict[str, Any] = {"name": basename(path) or "/", "path": path, "type_id": kind}
    if len(fields.get("sha256", "")) == 64:
        digest = printable(fields["sha256"])
        made["hashes"] = [{"algorithm": "SHA-256", "algorithm_id": 3, "value": digest}]
    if fields.get("size", "").isascii() and fields.get("size", "").isdecimal():
        made["size"] = int(fields["size"])
    if finding.change is Change.REMOVED:
        made["is_deleted"] = True
    return made


def _unmapped(finding: Finding, look: Look) -> dict[str, Any]:
    made: dict[str, Any] = {
        "kind": printable(finding.kind),
        "subject": shown(finding.subject),
        "change": str(finding.change),
        "action": str(finding.action),
        "signature": finding.signature,
    }
    if made["subject"].encode() != finding.subject:
        made["subject_bytes"] = base64.b64encode(finding.subject).decode("ascii")
    if (tied := told.tied_to(finding, look)) is not None:
        made["attribution"] = {"level": str(tied.level), "says": told.whose(finding, look)}
    return made
