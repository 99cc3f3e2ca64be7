"""What befalls processes, stores, networks and clocks, and what people do: more mishaps, each one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.findings import Action
from driftd.core.memory import LeaseHeld, Pause, StaleRecord, StoreUnavailable
from driftd.edges.store import care, open_store
from driftd.flows import holding
from driftd.flows.opening import cancel
from driftd.rehearsal.whom import a_record, controller, someone

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

# --- processes, stores, networks, clocks ---


def crash_at_a_commit(run: Run) -> str:
    """Driftd dies before or after a commit."""
    one = controller(run)
    if not one.up:
        return ""
    how, number = run.chance.choice(["die_before", "die_after"]), one.store.commits + run.chance.randrange(20)
    setattr(one.store, how, number)
    return f"{one.name} {how} +{number - one.store.commits}"


def disk_full(run: Run) -> str:
    """The disk under the store is full."""
    one = controller(run)
    if not one.up:
        return ""
    one.store.full = run.chance.choice([1, 3, 10])
    return f"{one.name} {one.store.full}"


def killed(run: Run) -> str:
    """Driftd is killed between two beats."""
    one = controller(run)
    one.die(politely=run.chance.random() < 0.5)
    return one.name


def partition(run: Run) -> str:
    """Driftd cannot reach the provider."""
    one, seconds = controller(run), run.chance.choice([10, 40, 120])
    one.link.cut = True
    run.after_a_while(seconds, lambda: setattr(one.link, "cut", False))
    return f"{one.name} cannot reach the provider for {seconds} s"


def store_away(run: Run) -> str:
    """Driftd cannot reach its store."""
    one, seconds = controller(run), run.chance.choice([10, 40, 120])

    def cut(*, there: bool) -> None:
        one.cut_store = not there
        if one.up:
            one.store.cut = not there

    cut(there=False)
    run.after_a_while(seconds, lambda: cut(there=True))
    return f"{one.name} cannot reach the store for {seconds} s"


def suspended(run: Run) -> str:
    """The process stands still before a call or a commit; the other one takes over meanwhile."""
    one, seconds = controller(run), run.chance.choice([15, 60, 200])
    if not one.up:
        return ""
    left = run.chance.randrange(12)
    at_call = run.chance.random() < 0.4

    def each(_what: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            one.link.each = one.store.each = None
            run.note(f"{one.name} stands still for {seconds} s")
            run.others_go_on(one, seconds)
            run.note(f"{one.name} goes on")

    if at_call:
        one.link.each = lambda name: each(name) if name.partition(".")[2] in _READS else None
    else:
        one.store.each = each
    return f"{one.name} for {seconds} s, at a {'call' if at_call else 'commit'} soon"


_READS = frozenset({"list", "targets", "describe", "find"})


def a_day_later(run: Run) -> str:
    """The clock jumps ahead by a day."""
    run.clock.advance(86400)
    run.cloud.settle()
    run.began += timedelta(days=1)
    return ""


def old_backup(run: Run) -> str:
    """The store is copied now, and put back from that copy a while later."""
    copy = run.home / f"backup-{len(run.applied)}.db"
    try:
        care.backup(f"sqlite:///{run.file}", copy)
    except (StoreUnavailable, BadInput):
        return ""
    run.after_a_while(run.chance.choice([30, 90, 200]), lambda: _restore(run, copy))
    return "copied"


def _restore(run: Run, copy: Path) -> None:
    for one in run.controllers:
        one.die(politely=True)
    run.office.close()
    try:
        care.restore(f"sqlite:///{run.file}", copy, "ann", run.clock())
        run.note("! the store is put back from the copy")
        run.restored = True
    except LeaseHeld as error:
        run.note(f"! the store cannot be put back: {error}")
    run.office = open_store(f"sqlite:///{run.file}")
    with run.office.read() as tx:
        pauses, holds = list(tx.pauses()), list(tx.holds(run.clock()))
    # What people said since then is forgotten with it, and they know.
    run.truth.paused = {one.group for one in pauses}
    run.truth.hard = {one.group for one in pauses if one.hard}
    run.truth.held = {one.instance_id: one.until for one in holds}
    run.truth.put_back.clear()


# --- people ---


def _office(what: Callable[[], object]) -> str:
    try:
        return str(what())
    except (BadInput, StaleRecord) as refused:
        return f"refused: {refused}"


def puts_back(run: Run) -> str:
    """A person puts an instance that was drained back in service."""
    drained = [key for group in run.groups for key, one in run.cloud.backends.get(group, {}).items() if one.drained_at]
    members = [key for key in drained if run.truth.is_member(key) and run.cloud.servers[key].gone_at is None]
    if not members:
        return ""
    key = run.chance.choice(members)
    with run.cloud.by_hand():
        run.cloud.parts.traffic.register(run.cloud.servers[key].instance.group, run.cloud.servers[key].instance)
    return key


def starts_again(run: Run) -> str:
    """A person starts an instance that was stopped."""
    stopped = [key for key in run.cloud.alive() if run.cloud.servers[key].stopped and run.truth.is_member(key)]
    if not stopped:
        return ""
    key = run.chance.choice(stopped)
    with run.cloud.by_hand():
        run.cloud.parts.compute.start(key)
    return key


def ends_one(run: Run) -> str:
    """A person ends an instance."""
    key = someone(run)
    run.truth.taken_by_others.add(run.cloud.servers[key].request.slot)
    with run.cloud.by_hand():
        run.cloud.parts.compute.terminate(key)
    return key


def stops_one(run: Run) -> str:
    """A person stops an instance."""
    key = someone(run)
    run.truth.taken_by_others.add(run.cloud.servers[key].request.slot)
    with run.cloud.by_hand():
        run.cloud.parts.compute.stop(key)
    return key


def takes_out(run: Run) -> str:
    """A person takes an instance out of service."""
    key = someone(run)
    server = run.cloud.servers[key]
    run.truth.taken_by_others.add(server.request.slot)
    with run.cloud.by_hand():
        run.cloud.parts.traffic.drain(server.instance.group, key)
    return key


def holds(run: Run) -> str:
    """A person holds an instance."""
    key = someone(run)
    record = a_record(run)
    key = record.old_id if record is not None else key
    if not run.truth.is_member(key):
        return ""
    span = timedelta(seconds=run.scenario.tempo.long(run.chance.choice([60, 600])))
    said = _office(lambda: holding.hold(run.office, key, "ann", "looking into it", span, run.clock()))
    if not said.startswith("refused"):
        run.truth.held[key] = run.clock() + span
    return f"{key}: {said}"


def releases(run: Run) -> str:
    """A person releases what was held."""
    if not run.truth.held:
        return ""
    key = run.chance.choice(sorted(run.truth.held))
    said = _office(lambda: holding.release(run.office, key, "ben", run.clock()))
    run.truth.held.pop(key)
    return said


def pauses(run: Run) -> str:
    """A person pauses a group or everything, hard or not."""
    group, hard = run.chance.choice(["", *sorted(run.groups)]), run.chance.random() < 0.3
    with run.office.write() as tx:
        tx.set_pause(Pause(group, "ann", "lunch", run.clock(), hard=hard))
    run.truth.tested.add("pauses")
    run.truth.paused.add(group)
    run.truth.hard.discard(group)
    if hard:
        run.truth.hard.add(group)
    run.after_a_while(run.chance.choice([40, 150]), lambda: _resume(run, group))
    return f"{group or 'everything'}{' hard' if hard else ''}"


def _resume(run: Run, group: str) -> None:
    with run.office.write() as tx:
        tx.clear_pause(group)
    run.truth.paused.discard(group)
    run.truth.hard.discard(group)


def cancels(run: Run) -> str:
    """A person cancels a replacement."""
    record = a_record(run)
    if record is None:
        return ""
    return _office(lambda: cancel(run.office, record.rid, "ann", run.clock()))


def denies(run: Run) -> str:
    """A person denies a replacement."""
    record = a_record(run)
    if record is None:
        return ""
    run.denied.add(record.old_id)
    return _office(lambda: holding.deny(run.office, record.rid, "ann", "not now", run.clock()))


def asks_by_hand(run: Run) -> str:
    """A person asks for a replacement."""
    up = [one for one in run.controllers if one.up]
    key = someone(run)
    if not up or not run.truth.is_member(key):
        return ""
    instance = run.cloud.view(run.cloud.servers[key])
    run.truth.by_hand_asked.add(instance.group)
    try:
        return _office(lambda: up[0].replacer.request(instance, "ann asked", manual=True))
    except (StoreUnavailable, LeaseHeld) as error:
        return str(error)


def edits_policy(run: Run) -> str:
    """The configuration is edited, and the daemon started again."""
    name = run.chance.choice(sorted(run.groups))
    group = run.groups[name]
    edit = run.chance.choice(["more", "less", "observe", "approve", "back"])
    rules = group.rules
    if edit == "more":
        rules = replace(rules, min_healthy=run.truth.plans[name].size)
    elif edit == "less":
        rules = replace(rules, min_healthy=0)
    elif edit == "observe":
        rules = replace(rules, enforce=Action.ALERT)
    elif edit == "approve":
        rules = replace(rules, approve=True)
    else:
        rules = run.truth.plans[name].rules
    run.groups[name] = replace(group, rules=rules)
    run.truth.minimum[name] = rules.min_healthy
    for one in run.controllers:
        one.die(politely=True)
    if edit in {"observe", "approve", "more"}:
        run.after_a_while(100, lambda: _edit_back(run, name))
    return f"{name} {edit}"


def _edit_back(run: Run, name: str) -> None:
    run.groups[name] = replace(run.groups[name], rules=run.truth.plans[name].rules)
    run.truth.minimum[name] = run.truth.plans[name].rules.min_healthy
    for one in run.controllers:
        one.die(politely=True)
