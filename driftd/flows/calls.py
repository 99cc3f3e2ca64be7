"""Calls: each one that changes something, made at the port that it is for; and the proof that it was allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from driftd.core.errors import NotFound, Unavailable
from driftd.core.facts import Instance
from driftd.core.ports import Addresses, HookName, Volumes
from driftd.core.replacement import Record
from driftd.core.world import Call, Verb, World
from driftd.flows.groups import Group
from driftd.flows.survey import edges_of

_log = logging.getLogger(__name__)


def make(call: Call, group: Group, record: Record, world: World) -> str:
    """Make one call; the id of what a launch or a snapshot made. Raises ``ProviderError``."""
    return _CALLS[call.verb](call, group, record, world)


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


def _quiesce(call: Call, group: Group, record: Record, world: World) -> str:
    """Leadership is handed over before the service is brought to rest."""
    _run(HookName.STEP_DOWN, call, group, record, world)
    return _run(HookName.QUIESCE, call, group, record, world)


def _serve(call: Call, group: Group, record: Record, world: World) -> str:
    return _run(HookName.SERVE, call, group, record, world)


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
    Verb.QUIESCE: _quiesce,
    Verb.SERVE: _serve,
}


def _run(name: HookName, call: Call, group: Group, record: Record, world: World) -> str:
    if group.hooks is not None and (
        why := group.hooks.run(name, _instance(call, world), group.name, {"rid": record.rid})
    ):
        raise Unavailable(why)
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
