"""Samples for tests of calibration: what instances showed, written as moments of changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from driftd.core.calibration.forms import FORMS, keeps
from driftd.core.calibration.propose import propose
from driftd.core.calibration.samples import Calibration, Sample
from driftd.core.difference import Change, Difference
from driftd.core.findings import Judgement
from driftd.core.policy import Policy, judge
from driftd.core.rules import Rule

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MOMENTS = ("boot", "later", "restart")


def digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def added(path: str | bytes, content: object, size: int = 40, mode: str = "0644", **fields: str) -> Difference:
    now = {"kind": "file", "mode": mode, "uid": "0", "gid": "0", "size": str(size), "sha256": digest(content)}
    return Difference("file", _bytes(path), Change.ADDED, {}, now | fields)


def edited(path: str | bytes, content: object, size: int = 40, **fields: str) -> Difference:
    was = {"size": "10", "sha256": digest("baked")} | dict.fromkeys(fields, "baked")
    return Difference(
        "file", _bytes(path), Change.MODIFIED, was, {"size": str(size), "sha256": digest(content)} | fields
    )


def made(path: str | bytes, mode: str = "0755") -> Difference:
    return Difference(
        "directory", _bytes(path), Change.ADDED, {}, {"kind": "directory", "mode": mode, "uid": "0", "gid": "0"}
    )


def link(path: str | bytes, target: str) -> Difference:
    now = {"kind": "link", "mode": "0777", "uid": "0", "gid": "0", "target": target}
    return Difference("link", _bytes(path), Change.ADDED, {}, now)


def gone(path: str | bytes, mode: str = "0644") -> Difference:
    was = {"kind": "file", "mode": mode, "uid": "0", "gid": "0", "size": "10", "sha256": digest("baked")}
    return Difference("file", _bytes(path), Change.REMOVED, was, {})


def showed(kind: str, name: str, **fields: str) -> Difference:
    return Difference(kind, name.encode(), Change.ADDED, {}, fields)


def _bytes(path: str | bytes) -> bytes:
    return path if isinstance(path, bytes) else path.encode()


def judged(differences: Iterable[Difference], rules: Sequence[Rule] = ()) -> Judgement:
    return judge(list(differences), Policy(tuple(rules)), (), NOW)


def sample(
    instance: str,
    moment: str,
    differences: Iterable[Difference],
    rules: Sequence[Rule] = (),
    forms: Mapping[str, Iterable[str]] | None = None,
    kept: Mapping[str, bool] | None = None,
    names: Sequence[bytes] = (),
) -> Sample:
    judgement = judged(differences, rules)
    return Sample(
        instance,
        moment,
        judgement.findings,
        judgement.explained,
        {path.encode(): frozenset(found) for path, found in (forms or {}).items()},
        {path.encode(): whether for path, whether in (kept or {}).items()},
        tuple(names),
    )


def learnt(samples: Sequence[Sample]) -> Calibration:
    return propose(samples, tuple(FORMS), keeps)


def series(*instances: Sequence[Iterable[Difference]], **given: object) -> list[Sample]:
    """One list of moments for each instance; each moment is what differs then."""
    return [
        sample(f"i-{number}", moment, differences, **given)
        for number, moments in enumerate(instances)
        for moment, differences in zip(MOMENTS, moments, strict=False)
    ]


def everywhere(*differences: Difference, instances: int = 3, **given: object) -> list[Sample]:
    return series(*[[differences] * 3] * instances, **given)
