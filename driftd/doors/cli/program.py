"""The program with all its commands: importing a file registers its command; overview.py gives it its place."""

from __future__ import annotations

from driftd.doors.cli import (
    accept,
    audit,
    bake,
    breakers,
    calibrate,
    demo,
    doctor,
    explain,
    findings,
    history,
    hold,
    init,
    journal,
    manifest,
    manifest_exports,
    motd,
    pause,
    policy,
    replace,
    report,
    run,
    status,
    store,
    trust,
)
from driftd.doors.cli.app import app
from driftd.doors.cli.overview import Group, dress

dress(app)
app.info.cls = Group

__all__ = [
    "accept",
    "app",
    "audit",
    "bake",
    "breakers",
    "calibrate",
    "demo",
    "doctor",
    "explain",
    "findings",
    "history",
    "hold",
    "init",
    "journal",
    "manifest",
    "manifest_exports",
    "motd",
    "pause",
    "policy",
    "replace",
    "report",
    "run",
    "status",
    "store",
    "trust",
]
