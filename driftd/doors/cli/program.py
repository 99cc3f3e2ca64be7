"""The program with all its commands: importing a file registers its command, and the order here is the help's."""

from __future__ import annotations

from driftd.doors.cli import (  # isort: skip  # the order is the help's
    demo,
    audit,
    bake,
    calibrate,
    manifest,
    manifest_exports,
    trust,
    run,
    status,
    findings,
    accept,
    explain,
    history,
    replace,
    hold,
    motd,
    pause,
    breakers,
    policy,
    journal,
    store,
)
from driftd.doors.cli.app import app

__all__ = [
    "accept",
    "app",
    "audit",
    "bake",
    "breakers",
    "calibrate",
    "demo",
    "explain",
    "findings",
    "history",
    "hold",
    "journal",
    "manifest",
    "manifest_exports",
    "motd",
    "pause",
    "policy",
    "replace",
    "run",
    "status",
    "store",
    "trust",
]
