"""After the mishaps: everything is kind again, people clear up what is theirs, and all of it comes to rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driftd.core.chain import Verified, verify
from driftd.core.errors import BadInput
from driftd.core.guards.calendar import ALWAYS
from driftd.core.rehearsal import Broken
from driftd.core.replacement import UNSTARTED, Record
from driftd.core.world import TAG_RID
from driftd.flows import holding
from driftd.flows.breaking import reset
from driftd.flows.vouch import accept_store
from driftd.rehearsal import patience
from driftd.rehearsal.strays import end_the_returned, keep_the_last, see_to_strays, see_to_the_stopped

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

CALM_BEATS = 120
LONGEST = 500
MOST_BEATS = 1500
PATIENT_BEATS = 120
MONTH_S = 30 * 86400
LEFT_PATIENTLY = 2
LEFT = 3  # of those that drifted, so many are to be replaced in the calm; people mend the others
IDLE_BEATS = 14
HOURS = 3


def correlated(run: Run) -> None:
    """Where so many drifted alike that a breaker had to open, one was launched at most."""
    name = run.scenario.correlated
    if not name or name in run.truth.reset_by_person or name in run.truth.by_hand_asked:
        return
    run.truth.tested.add("alike")
    done = sum(run.truth.launches[slot] for slot in run.truth.plans[name].slots)
    if done > 1:
        run.truth.violations.append(Broken("alike", f"{done} were launched in {name}, all of which drifted alike"))


def calm(run: Run) -> None:
    """Everything is kind again, and people clear up what is theirs."""
    run.note("--- calm ---")
    run.calm = True
    run.later.clear()
    run.slow_until = run.clock()
    _kind_again(run)
    run.unseen.clear()
    _leave_all(run)
    for controller in run.controllers:
        controller.wants, controller.link.cut, controller.cut_store = True, False, False
        controller.link.each = None
        if controller.up:
            store = controller.store
            store.cut, store.full, store.die_before, store.die_after, store.each = False, 0, None, None, None
    _serve_again(run)
    run.truth.paused.clear()
    run.truth.hard.clear()
    run.truth.held.clear()
    with run.office.write() as tx:
        for pause in tx.pauses():
            tx.clear_pause(pause.group)
        held = list(tx.holds(run.clock()))
    for one in held:
        holding.release(run.office, one.instance_id, "ann", run.clock())
    for name, group in run.groups.items():
        rules = run.truth.plans[name].rules
        run.groups[name] = replace(group, rules=rules if run.scenario.patient else replace(rules, calendar=ALWAYS))
        run.truth.minimum[name] = rules.min_healthy
    for controller in run.controllers:
        controller.die(politely=True)
    _mend(run, LEFT_PATIENTLY if run.scenario.patient else LEFT)
    if run.scenario.patient:
        _settle_patiently(run)
    else:
        _settle(run)
    _clean_up(run)


def _kind_again(run: Run) -> None:
    """The cloud."""
    cloud = run.cloud
    cloud.clear_faults()
    weather = run.scenario.weather
    cloud.drain_s = weather.drain_s
    cloud.flapping.clear()
    cloud.busy_volumes.clear()
    cloud.hook_failures.clear()
    cloud.hook_pending.clear()
    cloud.operations.clear()
    cloud.held.clear()
    if cloud.quota is not None:
        cloud.quota = None if run.scenario.quota_spare is None else cloud.quota
    for server in cloud.servers.values():
        if server.claims is not None:
            run.truth.odd.add(server.instance.id)  # what says that it is gone, and is not, is a person's
        server.claims = None
        server.healthy = server.healthy or server.instance.id in run.first


def _mend(run: Run, left: int) -> None:
    """People undo what drifted on all but a few, where nobody begun to replace them."""
    begun = {record.old_id for record in run.open_records() if record.state not in UNSTARTED}
    for key in _drifted(run)[left:]:
        if key not in begun and key in run.drift:
            del run.drift[key]
            run.seen_at_once([key])


def _serve_again(run: Run) -> None:
    """People start what they stopped, and put back in service what they took out."""
    for key in run.cloud.alive():
        if run.cloud.servers[key].stopped and key not in run.truth.stopped_by_us:
            with run.cloud.by_hand():
                run.cloud.parts.compute.start(key)
    for group, backends in run.cloud.backends.items():
        for key in [key for key, one in backends.items() if one.drained_at is not None]:
            server = run.cloud.servers.get(key)
            if server is None or server.gone_at is not None or key in run.truth.drained_by_us:
                continue
            with run.cloud.by_hand():
                run.cloud.parts.traffic.register(group, server.instance)


def _leave_all(run: Run) -> None:
    for key, sessions in run.people.items():
        run.people[key] = [replace(one, live=False, ended_at=one.ended_at or run.clock()) for one in sessions]
    run.truth.sessions.clear()


def _settle(run: Run) -> None:
    idle = 0
    for number in range(LONGEST):
        if run.truth.violations:
            return
        records = run.open_records()
        if number % 10 == 0:
            people_clear_up(run, records)
            known = {record.old_id for record in records}
            run.seen_at_once([key for key in _drifted(run) if key not in known])
        busy = bool(run.later) or any(record.state not in UNSTARTED for record in records)
        idle = 0 if busy else idle + 1
        done = idle > IDLE_BEATS or number > CALM_BEATS or not _waits(run)
        if number > 6 and not busy and done:
            break
        if number == CALM_BEATS:
            _mend(run, 0)
        run.beat(run.scenario.tempo.beat_s if busy or number < 6 else min(30, 2 * idle) * run.scenario.tempo.beat_s)
    else:
        run.truth.violations.append(Broken("answered", "it does not come to rest"))


def _settle_patiently(run: Run) -> None:
    """The same by a user's own rules, which may ask for days: until nobody waits, or has waited long enough."""
    ends = run.after(MONTH_S)
    for number in range(MOST_BEATS):
        if run.truth.violations:
            return
        records = run.open_records()
        if number % 10 == 0:
            people_clear_up(run, records)
            known = {record.old_id for record in records}
            run.seen_at_once([key for key in _drifted(run) if key not in known])
        busy = bool(run.later) or any(record.state not in UNSTARTED for record in records)
        long_enough = number > PATIENT_BEATS or run.clock() > ends
        if number > 6 and not busy and (long_enough or not _waits(run)):
            return
        if number == PATIENT_BEATS:
            _mend(run, 0)
        run.beat(patience.step(run, records))
    run.truth.violations.append(Broken("answered", "it does not come to rest"))


def _clean_up(run: Run) -> None:
    """The janitor has its hours."""
    for _ in range(HOURS):
        run.clock.advance(2400)
        run.cloud.settle()
        for controller in run.controllers:
            controller.cleans()


def people_clear_up(run: Run, records: list[Record]) -> None:
    """They agree to what waits for them, and close breakers that only they close."""
    now = run.clock()
    for record in records:
        if run.groups[record.group].rules.approve and not record.approved_by and not record.denied_by:
            try:
                holding.approve(run.office, record.rid, "ann", now)
            except BadInput:
                continue
    with run.office.write() as tx:
        for one in tx.breakers():
            if one.holds and one.rule in {"C1", "C3", "C6"}:
                try:
                    reset(tx, one.rule, one.scope, "ann", "it was us", now)
                    run.truth.reset_by_person |= set(run.groups)
                except BadInput:
                    continue
    with run.office.read() as tx:
        doubted = [one for one in tx.doubts() if one.settled_at is None]
    keep_the_last(run)
    end_the_returned(run)
    if doubted and not see_to_strays(run):
        see_to_the_stopped(run)
        run.note("ann accepts the store")
        accept_store(run.office, "ann", "looked at it", now)
        run.truth.put_back.clear()  # of drains that the store knows nothing of no undo can be known


def _waits(run: Run) -> bool:
    """Whether somebody is still to be replaced, where no person is needed first."""
    stuck = run.stuck()
    found = [key for key in _drifted(run) if key not in run.denied]
    return any(run.cloud.servers[key].instance.group not in stuck for key in found)


def _drifted(run: Run) -> list[str]:
    """Members that drifted and still are there."""
    found = []
    for plan in run.scenario.groups:
        here = [key for key in run.cloud.alive(plan.name) if run.truth.is_member(key)]
        found += [key for key in here if run.drift.get(key) or run.people.get(key)]
    return found


def at_rest(run: Run) -> None:
    """What must be so in the end, as the cloud and the journal have it."""
    waiting = {one.rid for one in run.open_records() if one.state in UNSTARTED and one.note}
    marked = {key: run.cloud.servers[key].instance.tags.get(TAG_RID, "") for key in run.cloud.alive()}
    run.truth.awaited = frozenset(key for key, rid in marked.items() if rid in waiting)
    run.truth.tested |= {"rest", "answered", "journal"}
    run.truth.violations += run.truth.at_rest()
    stuck = run.stuck()
    records = {record.old_id: record for record in run.open_records()}
    for key in _drifted(run):
        group = run.cloud.servers[key].instance.group
        if group in stuck or key in run.denied or run.cloud.servers[key].stopped:
            continue  # what is stopped cannot be looked at
        record = records.get(key)
        if record is None:
            said = f"{key} of {group} is drifted still, and nobody intends to replace it"
            run.truth.violations.append(Broken("answered", said))
        elif not record.note:
            run.truth.violations.append(Broken("answered", f"{key} of {group} waits without a sentence"))
        else:
            run.last_said[f"waits {key}"] = record.note
            run.note(f"{key} waits: {record.note}")
    with run.office.read() as tx:
        answer = verify(tx.journal_lines())
    if not isinstance(answer, Verified):
        run.truth.violations.append(Broken("journal", f"the journal does not hold: {answer}"))
