"""The story of the demo, in the order in which it happens, and the promises it checks at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from driftd.core.errors import DriftdError
from driftd.doors.cli.lines import columns, labelled
from driftd.doors.demo.stage import Outcome, Scene, Stage
from driftd.doors.demo.view import View

POLL_S = 0.1
QUIET_S = 60.0
DETECT_S = 60.0
REPLACE_S = 120.0
AFTERMATH_S = 3.0


def tell(stage: Stage, view: View) -> Outcome:
    """Play it once. Raises DriftdError when the stage itself fails; broken promises stand in the outcome."""
    outcome = Outcome()
    prepare(stage, view)
    view.chapter("The daemon looks at every server until it knows them all")
    _until(stage, view, _all_known, QUIET_S, "every server looked at and found as baked")
    view.chapter("Somebody logs in over SSH and edits a file")
    victim, deed = stage.intrude()
    started = time.monotonic()
    view.tell(deed)
    _follow(stage, view, victim, started, outcome)
    _linger(stage, view)
    outcome.requests, outcome.failed, outcome.slow_requests, failures = stage.stop_load()
    outcome.journal = stage.verify_journal()
    outcome.broken += [*_broken(outcome), *failures]
    return outcome


def prepare(stage: Stage, view: View) -> None:
    """Everything up to a fleet under load with a daemon that watches it."""
    for line in stage.clean():
        view.tell(line)
    view.chapter("The golden image and its manifest")
    view.tell(stage.image(view.tell))
    view.chapter("Three servers behind a load balancer")
    view.tell(stage.launch())
    view.chapter("The configuration, with short timings so that you need not wait")
    view.tell(stage.configure())
    view.chapter("driftd run, and a steady load from a client of its own")
    view.tell(stage.start_daemon())
    view.tell(stage.start_load())


def _all_known(scene: Scene) -> bool:
    return bool(scene.servers) and all(s.verdict in {"clean", "explained"} for s in scene.servers)


def _until(stage: Stage, view: View, done: Callable[[Scene], bool], limit_s: float, what: str) -> Scene:
    ends = time.monotonic() + limit_s
    while True:
        scene = stage.scene()
        view.show(scene)
        if done(scene):
            return scene
        if ended := stage.daemon_ended():
            raise DriftdError(f"the daemon ended before {what}: {ended}")
        if time.monotonic() > ends:
            seen = ", ".join(f"{s.slot} {s.verdict} ({s.note})" for s in scene.servers) or "no servers"
            raise DriftdError(
                f"after {limit_s:.0f} s still not: {what}; now: {seen}", "run it again with --keep to look"
            )
        time.sleep(POLL_S)


def _follow(stage: Stage, view: View, victim: str, started: float, outcome: Outcome) -> None:
    """From the login to the end of the replacement, noting when each thing was seen."""

    def replaced(scene: Scene) -> bool:
        elapsed = round(time.monotonic() - started, 2)
        if scene.findings:  # they are resolved with the end of the instance
            outcome.findings = list(scene.findings)
            outcome.detected_after_s = outcome.detected_after_s or elapsed
        if scene.sessions and outcome.session_seen_after_s is None:
            outcome.session_seen_after_s = elapsed
        return scene.replacement in {"succeeded", "failed-clean", "aborted-safe", "cancelled", "stuck"}

    def detected(scene: Scene) -> bool:
        replaced(scene)
        return bool(scene.findings) and bool(scene.sessions)

    _until(stage, view, detected, DETECT_S, f"the session and the change on {victim} seen")
    scene = _until(stage, view, replaced, REPLACE_S, f"{victim} replaced")
    outcome.replaced_after_s = round(time.monotonic() - started, 2)
    outcome.sessions = list(scene.sessions)
    outcome.steps = list(scene.steps)
    if scene.replacement != "succeeded":
        outcome.broken.append(f"the replacement ended {scene.replacement}: {scene.replacement_note}")
    if victim in {server.id for server in scene.servers}:
        outcome.broken.append(f"{victim} is still there")


def _linger(stage: Stage, view: View) -> None:
    """Let the load run on a little: a request lost by the retirement would fail now."""
    ends = time.monotonic() + AFTERMATH_S
    while time.monotonic() < ends:
        view.show(stage.scene())
        time.sleep(POLL_S)


def _broken(outcome: Outcome) -> list[str]:
    """The promises that did not hold, a sentence each."""
    broken = []
    if outcome.failed:
        broken.append(f"{outcome.failed} of {outcome.requests} requests failed")
    if outcome.requests < 1 or outcome.slow_requests < 1:
        broken.append("the load did not run")
    if not outcome.findings or not outcome.sessions:
        broken.append("driftd did not see both the session and the change")
    if not outcome.journal.get("ok"):
        broken.append(f"the journal does not verify: {outcome.journal.get('said')}")
    return broken


def _fields(values: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, Mapping) else ""


def _evidence(finding: Mapping[str, object], console: Console) -> None:
    """What it was and is: line by line where the file may be shown, else by its digest."""
    says = finding["says"]
    lines = [str(line) for line in says] if isinstance(says, Sequence) else []
    rows = [("was", _fields(finding["expected"])), ("is", _fields(finding["actual"]))]
    for line in lines:
        console.print(Text(f"            {line}", "red" if line.startswith("-") else "green"), soft_wrap=True)
        rows = []
    for label, text in (*rows, ("because", str(finding["because"]))):
        if text:
            console.print(Text(f"            {label:<8}{text}", "dim"), soft_wrap=True)


def conclude(outcome: Outcome, console: Console) -> None:
    """The end of the demo: what was seen, what was done, what it cost."""
    say = Text
    console.print()
    console.print(say("What driftd saw", "bold"))
    for session in outcome.sessions:
        console.print(say(f"  session   {session}"), soft_wrap=True)
    for finding in outcome.findings:
        console.print(say(f"  {finding['severity']:<9} {finding['kind']} {finding['subject']} {finding['change']}"))
        if finding["kind"] != "session":
            _evidence(finding, console)
    console.print()
    console.print(say("What it did", "bold"))
    steps = columns(("step", "took", "why"), long=("why",), right=("took",))
    for step in outcome.steps:
        steps.add_row(say(step.state), say(f"{step.seconds:.2f} s"), say(step.why, "dim"))
    console.print(Padding(steps, (0, 0, 0, 2)))
    console.print()
    console.print(say("What it cost", "bold"))
    rows = (
        ("detected after", f"{outcome.detected_after_s} s"),
        ("replaced after", f"{outcome.replaced_after_s} s"),
        ("requests", f"{outcome.requests:,} served, {outcome.slow_requests:,} of them longer than a drain poll"),
        ("failed", str(outcome.failed)),
        ("journal", str(outcome.journal.get("said"))),
    )
    console.print(Padding(labelled((label, say(text)) for label, text in rows), (0, 0, 0, 2)))
    console.print()
    if outcome.held:
        console.print(say("It held: seen, replaced, proven, and nobody noticed.", "bold green"))
    for sentence in outcome.broken:
        console.print(say(f"It did not hold: {sentence}", "bold red"), soft_wrap=True)
