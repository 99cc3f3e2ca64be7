"""What goes wrong, and what people do meanwhile: each kind is one function, drawn and timed by the seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from driftd.core.errors import NoCapacity, ProviderError, Refused, Unavailable
from driftd.core.facts import Session
from driftd.core.ports import HookName
from driftd.core.world import TAG_RID, TAG_ROLE
from driftd.rehearsal import people
from driftd.rehearsal.calm import people_clear_up
from driftd.rehearsal.scenario import Drift
from driftd.rehearsal.sights import edited
from driftd.rehearsal.whom import someone
from driftd.testing import Crash, Distortion

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

CHANGES = (
    "compute.launch",
    "compute.stop",
    "compute.start",
    "compute.terminate",
    "compute.tag",
    "traffic.register",
    "traffic.drain",
    "traffic.deregister",
    "volumes.attach",
    "volumes.detach",
    "volumes.snapshot",
    "addresses.associate",
    "addresses.release",
    "hooks.quiesce",
    "hooks.serve",
)
LISTS = ("inventory.find", "compute.list", "traffic.targets", "volumes.list", "addresses.list")
Mishap = Callable[["Run"], str]


def changes(run: Run) -> list[str]:
    """Every call that changes something, the groups' hooks that are called once among them."""
    return [*CHANGES, *sorted({f"hooks.{name}" for plan in run.scenario.groups for name in plan.once})]


def schedule(run: Run) -> list[tuple[float, Callable[[], None]]]:
    """Everything that will happen, by its second."""
    found: list[tuple[float, Callable[[], None]]] = [
        (drift.at_s, partial(drifts, run, drift)) for drift in run.scenario.drifts
    ]
    kinds = [kind for kind, weight in KINDS.items() for _ in range(weight)]
    for _ in range(run.scenario.mishaps):
        kind = run.chance.choice(kinds)
        at = run.chance.uniform(run.scenario.tempo.long(30), run.scenario.span_s)
        found.append((at, partial(strike, run, kind)))
    if any(plan.rules.approve for plan in run.scenario.groups):
        found += [
            (at, lambda: people_clear_up(run, run.open_records()))
            for at in map(run.scenario.tempo.long, (120.0, 240.0))
        ]
    return sorted(found, key=lambda one: one[0])


def strike(run: Run, kind: Mishap) -> None:
    """One mishap, now, while there is anybody left whom it could strike."""
    if not run.cloud.alive():
        return
    try:
        said = kind(run)
    except Crash:
        said = "a fault that was waiting struck a person's command"
    except ProviderError as error:
        said = f"came to nothing: {error}"
    if said:
        run.applied.append(kind.__name__)
        run.note(f"! {kind.__name__}: {said}")
        if run.scorer is not None:
            run.scorer.mishap(f"{kind.__name__.replace('_', ' ')}: {said}")


def drifts(run: Run, drift: Drift) -> None:
    """The drift of the scenario comes."""
    keys = []
    for number, slot in enumerate(drift.slots):
        for key in run.cloud.alive(slot.partition("/")[0]):
            if run.cloud.servers[key].request.slot == slot and run.truth.is_member(key):
                keys.append(key)
                if drift.kind == "session":
                    _visit(run, key, drift.stays_s, number)
                else:
                    _edit(run, key, f"/etc/alike-{drift.at_s:.0f}" if drift.alike else f"/etc/{slot}-{drift.at_s:.0f}")
    if not run.scenario.patient or run.scenario.correlated:
        run.seen_at_once(keys)


def _edit(run: Run, key: str, path: str) -> None:
    run.drift.setdefault(key, []).append(edited(path))
    run.drifted(key, f"{path} is edited on {key}")


def _visit(run: Run, key: str, seconds: float, number: int) -> None:
    now = run.clock()
    session = Session(
        "ssh", "mallory", f"203.0.113.{number}", now, live=seconds > 0, port=4000 + len(run.people), pid=9
    )
    run.people.setdefault(key, []).append(session)
    run.drifted(key, f"somebody comes to {key} for {seconds:.0f} s")
    if not seconds:
        return
    run.truth.sessions[key] = now
    run.after_a_while(seconds, lambda: _leave(run, key))


def _leave(run: Run, key: str) -> None:
    now = run.clock()
    run.people[key] = [replace(one, live=False, ended_at=one.ended_at or now) for one in run.people[key]]
    run.truth.sessions.pop(key, None)


# --- single calls ---


def crash_at_a_call(run: Run) -> str:
    """Driftd dies before or after a call."""
    pattern, after, skip = (
        run.chance.choice([*changes(run), "changes", "*"]),
        run.chance.random() < 0.5,
        run.chance.randrange(4),
    )
    run.cloud.fail_next(pattern, Crash(), after_effect=after, skip=skip)
    return f"{pattern} after={after} skip={skip}"


def no_answer(run: Run) -> str:
    """A call is made or not, and the provider does not answer."""
    pattern, after = run.chance.choice([*changes(run), "changes"]), run.chance.random() < 0.6
    times = run.chance.choice([1, 1, 3, 10])
    run.cloud.fail_next(pattern, Unavailable("503"), after_effect=after, times=times)
    return f"{pattern} after={after} times={times}"


def outage(run: Run) -> str:
    """The provider answers nothing for a while."""
    pattern, times = (
        run.chance.choice(["*", "compute.*", "traffic.*", "*.list", "traffic.targets"]),
        run.chance.choice([5, 30, 100]),
    )
    run.cloud.fail_next(pattern, Unavailable("500"), times=times)
    return f"{pattern} times={times}"


def refusal(run: Run) -> str:
    """The provider refuses a change."""
    pattern = run.chance.choice(changes(run))
    run.cloud.fail_next(pattern, Refused("it is not allowed"), times=run.chance.choice([1, 1, 3]))
    return pattern


def no_capacity(run: Run) -> str:
    """The provider has no capacity for a launch."""
    run.cloud.fail_next("compute.launch", NoCapacity("there is no capacity"), times=run.chance.choice([1, 2, 5]))
    return ""


def hollow(run: Run) -> str:
    """The provider says "done", and does nothing."""
    pattern = run.chance.choice([*changes(run), "changes"])
    run.cloud.pretend_next(pattern, times=run.chance.choice([1, 1, 4]))
    return pattern


def lie(run: Run) -> str:
    """An instance says that it has stopped, ended or started, and has not."""
    pattern = run.chance.choice(["compute.stop", "compute.terminate", "compute.start"])
    run.cloud.pretend_next(pattern, claim=True)
    return pattern


def late(run: Run) -> str:
    """A change that was acknowledged comes true later."""
    pattern, seconds = run.chance.choice([*changes(run), "changes"]), run.chance.choice([7, 30, 100])
    run.cloud.delay_next(pattern, run.scenario.tempo.long(seconds))
    return f"{pattern} {seconds}"


def sticks(run: Run) -> str:
    """A change that was acknowledged never comes true."""
    pattern = run.chance.choice(["volumes.attach", "volumes.detach", "compute.stop", "compute.start", "traffic.drain"])
    run.cloud.delay_next(pattern, math.inf, times=run.chance.choice([1, 3, 20]))
    return pattern


def echo(run: Run) -> str:
    """The provider does once more, later, what it had done."""
    pattern, seconds = run.chance.choice([*changes(run), "changes"]), run.chance.choice([7, 30, 100])
    run.cloud.echo_next(pattern, run.scenario.tempo.long(seconds))
    return f"{pattern} {seconds}"


def throttled(run: Run) -> str:
    """The provider asks to be asked less often, for up to an hour."""
    pattern = run.chance.choice(["*", "compute.*", "traffic.*", "compute.list", "volumes.*"])
    seconds = run.chance.choice([30, 120, 3600])
    long = run.scenario.tempo.long
    run.cloud.throttle(pattern, long(seconds), retry_after_s=long(10))
    if seconds == 3600:
        run.slowly(long(3600))
    return f"{pattern} {seconds}"


def crooked_list(run: Run) -> str:
    """A list lacks something, is empty, out of date, or has everything twice."""
    pattern = run.chance.choice([*LISTS, "inventory.find", "compute.list"])
    how = run.chance.choice(list(Distortion))
    times = run.chance.choice([1, 1, 2, 5])
    if pattern == "traffic.targets":
        times = 1
    run.cloud.distort(pattern, how, times=times)
    return f"{pattern} {how.name} {times}"


# --- things ---


def loses_a_tag(run: Run) -> str:
    """An instance of ours loses a tag."""
    newcomers = [key for key in run.cloud.alive() if not run.truth.is_member(key)]
    if not newcomers:
        run.cloud.tagless_launches += 1
        return "the next launch loses its tags"
    key, tag = run.chance.choice(newcomers), run.chance.choice([TAG_RID, TAG_ROLE])
    run.cloud.lose_tag(key, tag)
    run.truth.odd.add(key)
    return f"{key} {tag}"


def twin(run: Run) -> str:
    """One launch makes two instances."""
    run.cloud.twin_launches += 1
    return ""


def hides(run: Run) -> str:
    """No call finds an instance for a while."""
    key, seconds = someone(run), run.chance.choice([7, 30])
    run.cloud.hide(key, run.scenario.tempo.long(seconds))
    return f"{key} {seconds}"


def vanishes(run: Run) -> str:
    """An instance is gone, by nobody's call."""
    key = someone(run)
    run.truth.taken_by_others.add(run.cloud.servers[key].request.slot)
    with run.cloud.by_hand():
        run.cloud.vanish(key)
    return key


def falls_ill(run: Run) -> str:
    """An instance does not serve any more, for a while or for good."""
    key = someone(run)
    run.cloud.make_sick(key)
    if run.chance.random() < 0.6:
        run.after_a_while(run.chance.choice([10, 60]), lambda: run.cloud.make_sick(key, healthy=True))
    return key


def flaps(run: Run) -> str:
    """An instance is healthy and ill by turns."""
    key = someone(run)
    run.cloud.flapping.add(key)
    run.cloud.flap_s = run.scenario.tempo.long(run.chance.choice([7.0, 20.0]))
    return key


def never_drains(run: Run) -> str:
    """The load balancer never lets go of a connection, for a while."""
    run.cloud.drain_s = math.inf
    run.after_a_while(run.chance.choice([60, 300]), lambda: setattr(run.cloud, "drain_s", 5.0))
    return "for a while"


def busy_volume(run: Run) -> str:
    """A volume is in use whatever else is said."""
    if not run.cloud.volume_table:
        return ""
    name = run.chance.choice(sorted(run.cloud.volume_table))
    run.cloud.busy_volumes.add(name)
    run.after_a_while(run.chance.choice([30, 200]), lambda: run.cloud.busy_volumes.discard(name))
    return name


def hook_fails(run: Run) -> str:
    """A hook of the group's owner fails, for a while, or is not done at once."""
    once = sorted({name for plan in run.scenario.groups for name in plan.once})
    name = run.chance.choice([HookName.QUIESCE, HookName.SERVE, *once])
    if name in once and run.chance.random() < 0.3:
        run.cloud.hook_pending[name] = run.chance.choice([1, 3, 10])
        return f"{name.value} takes its time"
    run.cloud.hook_failures[name] = "exit status 1"
    run.after_a_while(run.chance.choice([30, 200]), lambda: run.cloud.hook_failures.pop(name, None))
    return name.value


def unreachable(run: Run) -> str:
    """An instance cannot be looked at, for a while."""
    key = someone(run)
    run.unseen.add(key)
    run.after_a_while(run.chance.choice([30, 200]), lambda: run.unseen.discard(key))
    return key


def others_at_work(run: Run) -> str:
    """Somebody else deploys to a group."""
    name = run.chance.choice(sorted(run.groups))
    run.cloud.operations[name] = "a deploy is under way"
    run.after_a_while(run.chance.choice([30, 120]), lambda: run.cloud.operations.pop(name, None))
    return name


KINDS: dict[Mishap, int] = {
    crash_at_a_call: 6,
    no_answer: 5,
    outage: 2,
    refusal: 2,
    no_capacity: 1,
    hollow: 3,
    lie: 2,
    late: 4,
    sticks: 2,
    echo: 3,
    throttled: 2,
    crooked_list: 4,
    loses_a_tag: 1,
    twin: 1,
    hides: 2,
    vanishes: 2,
    falls_ill: 4,
    flaps: 2,
    never_drains: 2,
    busy_volume: 1,
    hook_fails: 2,
    unreachable: 2,
    others_at_work: 1,
    people.crash_at_a_commit: 6,
    people.disk_full: 2,
    people.killed: 2,
    people.partition: 3,
    people.store_away: 2,
    people.suspended: 4,
    people.a_day_later: 1,
    people.old_backup: 2,
    people.puts_back: 4,
    people.starts_again: 3,
    people.ends_one: 2,
    people.stops_one: 1,
    people.takes_out: 1,
    people.holds: 3,
    people.releases: 1,
    people.pauses: 3,
    people.cancels: 3,
    people.denies: 1,
    people.asks_by_hand: 2,
    people.edits_policy: 2,
}
