"""Gauges of what was seen: instances and their verdicts, findings, looks, and passes over whole groups."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client.core import Metric

from driftd.core.acceptance import Acceptances
from driftd.core.breakers.facts import Pass
from driftd.core.breakers.sight import is_full
from driftd.core.difference import Change
from driftd.core.findings import Severity, Verdict
from driftd.core.memory import FindingRow, InstanceRow, Suppression, Tx
from driftd.core.outofband import HIDDEN
from driftd.core.taint import SESSION, STICKY
from driftd.edges.gauges.scope import Scope, by_group, seconds


def families(tx: Tx, now: datetime, scope: Scope) -> Iterator[Metric]:
    """One read's gauges."""
    rows = [row for row in tx.instances() if scope.has(row.group)]
    by_id = {row.id: row for row in rows}
    findings = [row for row in tx.open_findings() if row.instance_id in by_id]
    names = scope.names(row.group for row in rows)
    accepted = _accepted(findings, tx.suppressions(now), by_id)
    yield from _instances(rows, names)
    yield _tampered(rows, [row for row in findings if row.id not in accepted], by_id, names)
    yield from _findings(findings, [*accepted.values()], by_id, names)
    yield from _looks(rows, names)
    yield from _passes(tx.passes(), scope)


def _accepted(
    findings: Sequence[FindingRow], suppressions: Sequence[Suppression], by_id: Mapping[str, InstanceRow]
) -> dict[int, FindingRow]:
    """Those that somebody accepted. A session stays open though no later look sees it, so that none notes it there."""
    by_group = {row.group: Acceptances(suppressions, row.group) for row in by_id.values()}

    def covered(row: FindingRow) -> bool:
        if row.finding.kind not in STICKY:
            return bool(row.finding.suppressed_by)
        return by_group[by_id[row.instance_id].group].of(row.finding) is not None

    return {row.id: row for row in findings if covered(row)}


def _instances(rows: Sequence[InstanceRow], names: Sequence[str]) -> Iterator[Metric]:
    verdicts = by_group("driftd_instances", "Instances by group and verdict.", "verdict")
    tainted = by_group("driftd_tainted_instances", "Instances with a sticky taint.")
    seen = Tally((row.group, row.verdict) for row in rows)
    taints = Tally(row.group for row in rows if row.taint)
    for group in names:
        for verdict in Verdict:
            verdicts.add_metric([group, verdict], seen[group, verdict])
        tainted.add_metric([group], taints[group])
    yield from (verdicts, tainted)


def _tampered(
    rows: Sequence[InstanceRow], findings: Sequence[FindingRow], by_id: Mapping[str, InstanceRow], names: Sequence[str]
) -> Metric:
    gauge = by_group(
        "driftd_tampered_instances",
        "Instances whose verdict is tampered, that hide what their disk has, or whose log lost lines of a login, "
        "unless somebody accepted it.",
    )
    lied = {
        row.instance_id
        for row in findings
        if row.finding.kind == HIDDEN or (row.finding.kind == SESSION and row.finding.change is Change.REMOVED)
    }
    found = lied | {row.id for row in rows if row.verdict is Verdict.TAMPERED}
    counted = Tally(by_id[name].group for name in found)
    for group in names:
        gauge.add_metric([group], counted[group])
    return gauge


def _findings(
    findings: Sequence[FindingRow],
    accepted: Sequence[FindingRow],
    by_id: Mapping[str, InstanceRow],
    names: Sequence[str],
) -> Iterator[Metric]:
    worst = Tally((by_id[row.instance_id].group, row.finding.severity) for row in findings)
    covering = Tally((by_id[row.instance_id].group, row.finding.severity) for row in accepted)
    opened = by_group("driftd_open_findings", "Findings not resolved, by group and severity.", "severity")
    covered = by_group(
        "driftd_suppressed_findings", "Open findings that somebody accepted, by group and severity.", "severity"
    )
    for group in names:
        for severity in Severity:
            opened.add_metric([group, severity], worst[group, severity])
            covered.add_metric([group, severity], covering[group, severity])
    yield from (opened, covered)


def _looks(rows: Sequence[InstanceRow], names: Sequence[str]) -> Iterator[Metric]:
    oldest = by_group(
        "driftd_oldest_look_timestamp_seconds",
        "When the instance that was looked at longest ago was looked at, or first seen where it never was.",
    )
    never = by_group("driftd_never_looked_instances", "Instances that no look has ended on yet.")
    for group in names:
        mine = [row for row in rows if row.group == group]
        if mine:
            oldest.add_metric([group], seconds(min(row.looked_at or row.first_seen for row in mine)))
        never.add_metric([group], sum(1 for row in mine if row.looked_at is None))
    yield from (oldest, never)


def _passes(passes: Sequence[Pass], scope: Scope) -> Iterator[Metric]:
    last = by_group("driftd_last_pass_timestamp_seconds", "When the group's inventory was last read; 0 is never.")
    whole = by_group(
        "driftd_last_full_pass_timestamp_seconds",
        "When the inventory was last read while enough of the group had been looked at of late; 0 where none was "
        "since the daemon began and the store remembers none.",
    )
    expected = by_group("driftd_pass_expected_instances", "Instances that were to be looked at by the last pass.")
    reported = by_group("driftd_pass_reported_instances", "Those of them that could be looked at of late.")
    interval = by_group("driftd_look_interval_seconds", "How often a group is looked at, as configured.")
    for group in scope.names(one.group for one in passes):
        mine = sorted((one for one in passes if one.group == group and not one.unseen), key=lambda one: one.at)
        newest = mine[-1] if mine else None
        if good := [one.at for one in mine if is_full(one, scope.limits)]:
            scope.full[group] = good[-1]
        last.add_metric([group], seconds(newest.at if newest else None))
        whole.add_metric([group], seconds(scope.full.get(group)))
        if newest is not None:
            expected.add_metric([group], newest.expected)
            reported.add_metric([group], newest.reported)
    for group, every in sorted((scope.groups or {}).items()):
        interval.add_metric([group], every.total_seconds())
    yield from (last, whole, expected, reported, interval)
