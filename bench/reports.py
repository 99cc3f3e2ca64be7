"""What reports cost: 10,000 findings in every format, and the HTML of them in a real browser.

Needs no server and no store: looks are made here, a hundred instances with a hundred findings each, and one with all.
Beside JSON, SARIF and JUnit stand the field's own libraries writing as many results: sarif-om with jschema-to-python,
junitparser. Without them they are left out. The browser is Debian's chromium, driven by playwright.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.core.attributed import Attribution, Level
from driftd.core.causes import assign
from driftd.core.difference import Change
from driftd.core.facts import Coverage, Instance, Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.shown import Comparison, Exhibit, Setting
from driftd.doors.report.formats import Format, render

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLACES = (
    "/etc/nginx/sites-enabled",
    "/usr/lib/python3/dist-packages/requests",
    "/opt/app/static",
    "/etc/systemd/system",
)
LISTENERS = ["nginx", "sshd", "node_exporter", "postgres", "redis-server"]


def finding(at: int, instance: int) -> Finding:
    """One of many sorts: files added, changed and removed, facts; every severity; some accepted."""
    severity = list(Severity)[at % 5]
    digest = f"{at * 7919 + instance:064x}"
    change = (Change.ADDED, Change.MODIFIED, Change.REMOVED)[at % 3]
    side = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": str(at), "sha256": digest}
    was = {} if change is Change.ADDED else {**side, "sha256": digest[::-1]}
    now = {} if change is Change.REMOVED else side
    if change is Change.MODIFIED:  # only what differs is told
        was, now = ({name: one[name] for name in ("sha256", "mode")} for one in (was, {**side, "mode": "0666"}))
    kind, subject = "file", f"{PLACES[at % 4]}/file-{instance}-{at}.conf"
    if at % 11 == 0:
        kind, subject = "listener", f"tcp 0.0.0.0:{1024 + at}"
        was, now, change = {}, {"program": f"/usr/sbin/{LISTENERS[at % 5]}", "user": "root"}, Change.ADDED
    return Finding(
        kind=kind,
        subject=subject.encode(),
        change=change,
        severity=severity,
        action=Action.REPLACE,
        signature=f"{at * 104729 + instance:016x}",
        rule="driftd:default",
        because="it says what runs, with privilege and unasked",
        expected=was,
        actual=now,
        suppressed_by="accepted by ann until 2026-02-01 00:00 UTC: a fix in a hurry" if at % 50 == 0 else "",
    )


def look(instance: int, number: int) -> Look:
    """One instance with so many findings, some of them tied to somebody, some with what the file says."""
    found = assign([finding(at, instance) for at in range(number)])
    eve = Session("ssh", "eve", "10.0.0.9", NOW, key="SHA256:eve", live=True, evidence="log", confidence="supported")
    made = Comparison((Setting("http.server.listen", "80", "8080"),), ("@@ -1 +1 @@", "-listen 80;", "+listen 8080;"))
    return Look(
        Instance(f"i-{instance:012x}", "web", "golden-1", slot=f"web/{instance}", address=f"10.77.0.{instance % 250}"),
        NOW,
        1.25,
        Judgement(Verdict.DRIFTED, "critical: /etc/systemd/system was changed; and 99 more causes", found),
        root=b"\xab" * 32,
        coverage=Coverage(entries=48_000, bytes_hashed=10**9, facts={"package": 300, "unit": 120}),
        others=(eve,),
        shown={one.subject: Exhibit(None, None, made) for one in found if one.change is Change.MODIFIED},
        attributions={one.signature: Attribution(Level.PROBABLE, "nobody else was there", eve) for one in found[::3]},
    )


def timed(name: str, what: Callable[[], str], times: int) -> str:
    """Print the least of ``times`` wall and CPU times of ``what``, and how much it wrote."""
    best, said = (9e9, 9e9), ""
    for _ in range(times):
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        said = what()
        best = min(best, (time.perf_counter() - began, time.process_time() - used))
    print(f"  {name:<26} {best[0]:6.2f} s  {best[1]:6.2f} s CPU  {len(said) / 1e6:7.2f} MB", flush=True)
    return said


def sarif_om(looks: list[Look]) -> str:
    """As many results by the SARIF object model for Python."""
    import sarif_om as om  # noqa: PLC0415  # a peer that need not be there
    from jschema_to_python.to_json import to_json  # noqa: PLC0415  # likewise

    results = [
        om.Result(
            message=om.Message(text=one.because),
            rule_id=one.rule,
            level="error",
            partial_fingerprints={"x": one.signature},
            locations=[
                om.Location(
                    physical_location=om.PhysicalLocation(
                        artifact_location=om.ArtifactLocation(uri=one.subject.decode())
                    )
                )
            ],
        )
        for each in looks
        for one in each.judgement.findings
    ]
    run = om.Run(tool=om.Tool(driver=om.ToolComponent(name="x")), results=results)
    return str(to_json(om.SarifLog(version="2.1.0", runs=[run])))


def junitparser(looks: list[Look]) -> str:
    """As many failing cases by junitparser."""
    from junitparser import Failure, JUnitXml, TestCase, TestSuite  # noqa: PLC0415  # a peer that need not be there

    document = JUnitXml()
    for each in looks:
        suite = TestSuite(each.instance.id)
        for one in each.judgement.findings:
            case = TestCase(one.subject.decode(), "driftd")
            case.result = [Failure(one.because, one.severity)]
            suite.add_testcase(case)
        document.add_testsuite(suite)
    return bytes(document.tostring()).decode()


_WATCH = """() => {
    window.slow = [];
    const keys = (list) => list.getEntries().filter((one) => one.name === "keydown");
    const take = (list) => slow.push(...keys(list).map((one) => one.duration));
    new PerformanceObserver(take).observe({type: "event", durationThreshold: 16});
}"""


def in_browser(page: str, chromium: str) -> None:
    """Open the page, type into its search, and print what the browser itself measured (Event Timing)."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only for this

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        file = Path(folder, "report.html")
        file.write_text(page, encoding="utf-8")
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        inside = tab.context.new_cdp_session(tab)
        inside.send("Performance.enable", {"timeDomain": "threadTicks"})

        def used() -> float:
            """Seconds of CPU that the page's main thread took until now."""
            return next(
                one["value"]
                for one in inside.send("Performance.getMetrics")["metrics"]
                if one["name"] == "TaskDuration"
            )

        for _ in range(3):
            tab.goto("about:blank")
            began = time.perf_counter()
            tab.goto(file.as_uri(), wait_until="load")
            tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            opened, cpu = time.perf_counter() - began, used()
            tab.evaluate(_WATCH)
            tab.keyboard.press("/")
            each = []
            for letter in ("n", "g", "i", "n", "x", "Backspace", "Backspace", " ", "7"):
                before = used()
                tab.keyboard.press(letter)
                tab.wait_for_timeout(300)
                each.append(used() - before)
            slow = tab.evaluate("slow")
            worst, cpus = max(slow, default=0), [round(one * 1000) for one in each]
            print(f"  opened in {opened:.2f} s ({cpu:.2f} s of CPU); a keystroke to its paint: {worst:.0f} ms at worst")
            print(f"    of {slow}; CPU of each, in ms: {cpus} ({tab.inner_text('#said')})")
        browser.close()


def main() -> None:
    """Everything, in order."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--findings", type=int, default=10_000)
    words.add_argument("--times", type=int, default=3)
    words.add_argument("--chromium", default="/usr/bin/chromium")
    words.add_argument("--keep", type=Path, help="write each report into this directory")
    asked = words.parse_args()
    for number in (100, 1):
        looks = [look(at, asked.findings // number) for at in range(number)]
        print(f"{asked.findings} findings on {number} instance{'s' * (number > 1)}:")
        for form in Format:
            said = timed(
                form, lambda form=form, looks=looks: render(form, looks, NOW + timedelta(minutes=1)), asked.times
            )
            if asked.keep:
                (asked.keep / f"{number}.{form}").write_text(said, encoding="utf-8")
            if form is Format.HTML and Path(asked.chromium).exists():
                in_browser(said, asked.chromium)
        for name, peer in (("peer: sarif-om", sarif_om), ("peer: junitparser", junitparser)):
            try:
                timed(name, lambda peer=peer, looks=looks: peer(looks), asked.times)
            except ImportError as missing:
                print(f"  {name}: left out, {missing}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
