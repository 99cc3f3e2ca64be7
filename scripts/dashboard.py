"""Makes grafana/driftd.json, the dashboard. Run it after a change here; tests/house/test_dashboard.py compares.

python scripts/dashboard.py
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import StackingConfig, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

FILE = Path(__file__).resolve().parent.parent / "grafana" / "driftd.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE = 'job="$job", group=~"$group"'
DRIFTED = 'verdict=~"drifted|tampered"'
UNKNOWN = 'verdict="unknown"'
OPEN = 'state="open"'
NEWS = 'state="open", rule!~"C8|C12"'
COLOURS = {
    "clean": "green",
    "explained": "light-green",
    "unknown": "yellow",
    "drifted": "orange",
    "tampered": "dark-red",
    "info": "light-blue",
    "low": "blue",
    "medium": "yellow",
    "high": "orange",
    "critical": "dark-red",
}

Query = tuple[str, str]  # PromQL, and what its lines are called


def of(metric: str, more: str = "") -> str:
    """A metric of the chosen groups."""
    return f"{metric}{{{HERE}{', ' if more else ''}{more}}}"


def whole(metric: str, more: str = "") -> str:
    """A metric that knows no group."""
    return f'{metric}{{job="$job"{", " if more else ""}{more}}}'


def target(place: int, query: Query) -> prometheus.Dataquery:
    """One query of a panel."""
    expr, name = query
    return prometheus.Dataquery().expr(expr).legend_format(name).ref_id(chr(ord("A") + place))


def number(
    title: str, said: str, query: str, *, bad: float | None, unit: str = "short", good: bool = False
) -> stat.Panel:
    """One number: red from ``bad`` on, or, where ``good``, below it; in no colour where nothing is bad."""
    steps = [Threshold(value=None, color="red" if good else "green")]
    if bad is not None:
        steps.append(Threshold(value=bad, color="green" if good else "red"))
    return (
        stat.Panel()
        .title(title)
        .description(said)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(target(0, (query, "")))
        .span(3)
        .height(4)
    )


def lines(
    title: str, said: str, queries: Sequence[Query], *, unit: str = "short", stacked: bool = False
) -> timeseries.Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(said)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(25 if stacked else 5)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .span(8)
        .height(8)
    )
    if stacked:
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for place, query in enumerate(queries):
        panel.with_target(target(place, query))
    for name, colour in COLOURS.items():
        if any(f"{{{{{label}}}}}" == legend for _, legend in queries for label in ("verdict", "severity")):
            fixed = DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
            panel.override_by_name(name, [fixed])
    return panel


def at_a_glance() -> list[stat.Panel]:
    """What somebody who has ten seconds looks at. Red is what an alert is about."""
    unaccepted = "sum({}) - sum({})"
    bad = 'severity=~"critical|high"'
    return [
        number(
            "Alive",
            "Answers, reads its store and holds the lease",
            f"min({whole('driftd_leader')}) or vector(0)",
            bad=1,
            good=True,
        ),
        number("Instances", "Of the chosen groups", f"sum({of('driftd_instances')})", bad=None),
        number(
            "Drifted or tampered",
            "Instances with a verdict that asks for something",
            f"sum({of('driftd_instances', DRIFTED)})",
            bad=1,
        ),
        number("Unknown", "Instances that could not be looked at", f"sum({of('driftd_instances', UNKNOWN)})", bad=1),
        number(
            "Bad findings",
            "Of critical and high severity, not accepted",
            unaccepted.format(of("driftd_open_findings", bad), of("driftd_suppressed_findings", bad)),
            bad=1,
        ),
        number("Stuck", "Replacements that need a person", f"sum({of('driftd_stuck_replacements')})", bad=1),
        number(
            "Open breakers",
            "Without C8 and C12, which are no news",
            f"sum({whole('driftd_breakers', NEWS)})",
            bad=1,
        ),
        number(
            "Proof",
            "1 when the journal holds and the store is not doubted",
            f"(1 - max({whole('driftd_journal_broken')})) * (max({whole('driftd_store_doubts')}) == bool 0)",
            bad=1,
            good=True,
        ),
    ]


def seen() -> list[timeseries.Panel]:
    """The fleet, as driftd sees it."""
    rate = "sum by ({}) (rate({}[$__rate_interval]))"
    return [
        lines(
            "Verdicts",
            "Instances by verdict",
            [(f"sum by (verdict) ({of('driftd_instances')})", "{{verdict}}")],
            stacked=True,
        ),
        lines(
            "Open findings",
            "By severity; accepted ones are among them",
            [(f"sum by (severity) ({of('driftd_open_findings')})", "{{severity}}")],
            stacked=True,
        ),
        lines(
            "Accepted, tainted, tampered",
            "Findings that somebody accepted; instances that somebody was on; instances whose log lost lines",
            [
                (f"sum({of('driftd_suppressed_findings')})", "accepted findings"),
                (f"sum({of('driftd_tainted_instances')})", "tainted"),
                (f"sum({of('driftd_tampered_instances')})", "tampered"),
            ],
        ),
        lines(
            "Since the last full pass",
            "How long ago enough of each group had been seen; DriftdBlind fires over ten minutes and three intervals",
            [
                (f"time() - {of('driftd_last_full_pass_timestamp_seconds')}", "{{group}}"),
                (f"10 * 60 + 3 * {of('driftd_look_interval_seconds')}", "{{group}}: too long"),
            ],
            unit="s",
        ),
        lines(
            "Oldest look",
            "How long ago the instance that was looked at longest ago was looked at",
            [(f"time() - {of('driftd_oldest_look_timestamp_seconds')}", "{{group}}")],
            unit="s",
        ),
        lines(
            "Seen of expected",
            "Instances that the last pass wanted to see, and those that could be looked at of late",
            [
                (f"sum({of('driftd_pass_expected_instances')})", "expected"),
                (f"sum({of('driftd_pass_reported_instances')})", "seen"),
                (f"sum({of('driftd_never_looked_instances')})", "never looked at"),
            ],
        ),
        lines(
            "Looks",
            "A second, by what came of them",
            [(rate.format("verdict", of("driftd_looks_total")), "{{verdict}}")],
            unit="ops",
        ),
        lines(
            "How long looks take",
            "Half of them, and 19 of 20, are shorter",
            [
                (f"histogram_quantile({share}, {rate.format('le', of('driftd_look_duration_seconds_bucket'))})", name)
                for share, name in ((0.5, "median"), (0.95, "95 %"))
            ],
            unit="s",
        ),
        lines(
            "People",
            "Sessions that last, and instances that somebody holds",
            [(f"sum({of('driftd_open_sessions')})", "sessions"), (f"sum({of('driftd_holds')})", "holds")],
        ),
    ]


def done() -> list[timeseries.Panel]:
    """What driftd does, and what keeps it from it."""
    return [
        lines(
            "Replacements under way",
            "By state",
            [(f"sum by (state) ({of('driftd_replacement_state')}) or vector(0)", "{{state}}")],
            stacked=True,
        ),
        lines(
            "Breakers",
            "Open ones by rule (docs/breakers.md)",
            [(f"sum by (rule) ({whole('driftd_breakers', OPEN)})", "{{rule}}")],
        ),
        lines(
            "Stuck, paused",
            "Replacements that need a person; 1 while changes are paused somewhere",
            [
                (f"sum by (group) ({of('driftd_stuck_replacements')})", "stuck in {{group}}"),
                (f"max({whole('driftd_paused')}) or vector(0)", "paused"),
            ],
        ),
    ]


def itself() -> list[timeseries.Panel]:
    """How driftd itself is."""
    return [
        lines(
            "Messages",
            "Not sent yet, and of these tried without success",
            [(whole("driftd_messages_waiting"), "waiting"), (whole("driftd_messages_failing"), "failing")],
        ),
        lines(
            "Jobs that failed",
            "Failures of each job in five minutes",
            [(f"sum by (name) (increase({whole('driftd_job_failures_total')}[5m]))", "{{name}}")],
        ),
        lines(
            "Since jobs ended well",
            "A line that climbs for longer than ten minutes is a job that hangs",
            [(f"time() - {whole('driftd_job_last_success_timestamp_seconds')}", "{{name}}")],
            unit="s",
        ),
        lines("Journal", "Lines that verify", [(whole("driftd_journal_verified_lines"), "lines")]),
        lines(
            "Memory", "Of the daemon's process", [(whole("process_resident_memory_bytes"), "resident")], unit="bytes"
        ),
        lines(
            "CPU",
            "Of the daemon's process, as a share of one core",
            [(f"rate({whole('process_cpu_seconds_total')}[$__rate_interval])", "CPU")],
            unit="percentunit",
        ),
    ]


def made() -> str:
    """The dashboard as JSON."""
    board = (
        dashboard.Dashboard("driftd")
        .uid("driftd")
        .description("Is the fleet what its images say, and does driftd see it? Runbooks: docs/runbooks.md of driftd.")
        .tags(["driftd"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job")
            .label("driftd")
            .datasource(SOURCE)
            .query("label_values(driftd_build_info, job)")
            .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        )
        .with_variable(
            dashboard.QueryVariable("group")
            .label("Group")
            .datasource(SOURCE)
            .query('label_values(driftd_instances{job="$job"}, group)')
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
        )
    )
    rows = (
        ("At a glance", at_a_glance()),
        ("What is seen", seen()),
        ("What is done", done()),
        ("driftd itself", itself()),
    )
    ids = count(1)
    for title, panels in rows:
        board.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            board.with_panel(panel.id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
