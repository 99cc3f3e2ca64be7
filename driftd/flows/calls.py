"""Calls: each one that changes something, made at the port that it is for; and the proof that it was allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from driftd.core.asides import Isolating
from driftd.core.errors import NotFound, ProviderError, Refused, Unavailable
from driftd.core.facts import Instance
from driftd.core.hooks import HookName, NotYet, Told, Underway
from driftd.core.moves import unanswered, unfinished
from driftd.core.ports import Addresses, Volumes
from driftd.core.replacement import Record
from driftd.core.steps.hooking import ONCE
from driftd.core.world import Call, Verb, World
from driftd.flows.capture import Capture
from driftd.flows.groups import Group
from driftd.flows.survey import edges_of

_log = logging.getLogger(__name__)


def make(call: Call, group: Group, record: Record, world: World, capture: Capture) -> str:
    """Make one call; the id of what a launch, a snapshot or ``capture`` made. Raises ``ProviderError``."""
    if call.verb is Verb.CAPTURE:
        return capture(group, record, _instance(call, world))
    return _CALLS[call.verb](call, group, record, world)


def failing(
    record: Record, call: Call, error: ProviderError, group: Group, now: datetime
) -> tuple[Record, Mapping[str, str]]:
    """The record after a call that did not succeed, and its outcome for the journal; of a hook with what follows."""
    said, terms = str(error), group.manner.terms_of(call.verb.value)
    if isinstance(error, Underway):
        after = unfinished(record, call, said, group.limits, now, terms=terms, after_s=error.after_s)
        outcome = "pending"
    else:
        refused = isinstance(error, Refused)
        after = unanswered(record, call, said, group.limits, now, refused=refused, terms=terms)
        outcome = "refused" if refused else "no answer"
    told = after.hooks.get(call.verb.value, "")
    over = {"on_failure": terms.on_failure.value} if told in {Told.FAILED, Told.PASSED} else {}
    return after, {"outcome": outcome, "why": said, **over}


def guards(record: Record, world: World) -> dict[str, object]:
    """What was read, live, right before a call: the proof that it was allowed."""
    old, new = world.targets.get(record.old_id), world.targets.get(record.new_id)
    said: dict[str, object] = {
        "in_service": world.facts.in_service,
        "min_healthy": world.rules.min_healthy,
        "old": {
            "state": world.old.state.value if world.old else "gone",
            "target": old.state.value if old else "",
            "connections": old.connections if old else 0,
        },
        "new": {"id": record.new_id, "target": new.state.value if new else "", "verified": record.verified},
    }
    if record.owns:
        said["volumes"] = {name: one.attached_to for name, one in world.volumes.items()}
        said["addresses"] = {name: one.attached_to for name, one in world.addresses.items()}
    return said


def _launch(call: Call, group: Group, _record: Record, _world: World) -> str:
    compute, _ = edges_of(group)
    if call.launch is None:
        raise ValueError("a launch without a request")
    return compute.launch(call.launch).id


def _register(call: Call, group: Group, _record: Record, world: World) -> str:
    _, traffic = edges_of(group)
    traffic.register(group.name, _instance(call, world))
    return ""


def _drain(call: Call, group: Group, _record: Record, _world: World) -> str:
    _, traffic = edges_of(group)
    traffic.drain(group.name, call.instance_id)
    return ""


def _deregister(call: Call, group: Group, _record: Record, _world: World) -> str:
    _, traffic = edges_of(group)
    traffic.deregister(group.name, call.instance_id)
    return ""


def _terminate(call: Call, group: Group, _record: Record, _world: World) -> str:
    compute, _ = edges_of(group)
    try:
        compute.terminate(call.instance_id)
    except NotFound:
        _log.debug("%s is gone already", call.instance_id)
    return ""


def _tag(call: Call, group: Group, _record: Record, _world: World) -> str:
    compute, _ = edges_of(group)
    compute.tag(call.instance_id, call.tags)
    return ""


def _stop(call: Call, group: Group, _record: Record, _world: World) -> str:
    compute, _ = edges_of(group)
    compute.stop(call.instance_id)
    return ""


def _start(call: Call, group: Group, _record: Record, _world: World) -> str:
    compute, _ = edges_of(group)
    compute.start(call.instance_id)
    return ""


def _isolate(call: Call, group: Group, _record: Record, _world: World) -> str:
    if not isinstance(group.provider, Isolating):
        raise NotFound(f"provider {group.provider.name} cannot cut an instance's network any more")
    group.provider.isolate(call.instance_id)
    return ""


def _snapshot(call: Call, group: Group, _record: Record, _world: World) -> str:
    return _volumes(group).snapshot(call.thing, call.token).id


def _detach(call: Call, group: Group, _record: Record, _world: World) -> str:
    _volumes(group).detach(call.thing)
    return ""


def _attach(call: Call, group: Group, _record: Record, _world: World) -> str:
    _volumes(group).attach(call.thing, call.instance_id)
    return ""


def _associate(call: Call, group: Group, _record: Record, _world: World) -> str:
    _addresses(group).associate(call.thing, call.instance_id, call.expected)
    return ""


def _release(call: Call, group: Group, _record: Record, _world: World) -> str:
    _addresses(group).release(call.thing, call.expected)
    return ""


def _quiesce(call: Call, group: Group, record: Record, world: World) -> str:
    """Leadership is handed over before the service is brought to rest."""
    _run(HookName.STEP_DOWN, call, group, record, world)
    return _run(HookName.QUIESCE, call, group, record, world)


def _serve(call: Call, group: Group, record: Record, world: World) -> str:
    return _run(HookName.SERVE, call, group, record, world)


def _once(call: Call, group: Group, record: Record, world: World) -> str:
    return _run(HookName(call.verb.value), call, group, record, world)


_CALLS: Mapping[Verb, Callable[[Call, Group, Record, World], str]] = {
    Verb.LAUNCH: _launch,
    Verb.REGISTER: _register,
    Verb.DRAIN: _drain,
    Verb.DEREGISTER: _deregister,
    Verb.TERMINATE: _terminate,
    Verb.TAG: _tag,
    Verb.STOP: _stop,
    Verb.START: _start,
    Verb.SNAPSHOT: _snapshot,
    Verb.DETACH: _detach,
    Verb.ATTACH: _attach,
    Verb.ASSOCIATE: _associate,
    Verb.RELEASE: _release,
    Verb.ISOLATE: _isolate,
    Verb.QUIESCE: _quiesce,
    Verb.SERVE: _serve,
    **dict.fromkeys(ONCE, _once),
}


def _run(name: HookName, call: Call, group: Group, record: Record, world: World) -> str:
    if group.hooks is None:
        return ""
    said = group.hooks.run(name, _instance(call, world), group.name, {"rid": record.rid})
    if isinstance(said, NotYet):
        raise Underway(said.why, said.after_s)
    if said:
        raise Unavailable(said)
    return ""


def _instance(call: Call, world: World) -> Instance:
    known = [one for one in (world.old, *world.newcomers) if one is not None and one.id == call.instance_id]
    if not known:
        raise NotFound(f"instance {call.instance_id} is not there any more")
    return known[0]


def _volumes(group: Group) -> Volumes:
    if group.provider.volumes is None:
        raise NotFound(f"provider {group.provider.name} has no volumes any more")
    return group.provider.volumes


def _addresses(group: Group) -> Addresses:
    if group.provider.addresses is None:
        raise NotFound(f"provider {group.provider.name} has no movable addresses any more")
    return group.provider.addresses
