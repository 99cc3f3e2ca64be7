"""Quorum: whether a cluster of data servers can do without one member now. Its facts come from a hook, as JSON.

    {"members": ["db-1", "db-2", "db-3"], "healthy": ["db-1", "db-2", "db-3"], "leader": "db-1", "quorum": 2}

Members are named as driftd knows them: by instance id, slot or address. ``healthy`` are those that take part and have
caught up. ``leader`` is "" where there is none, ``quorum`` may be left out: more than half of the members.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from driftd.core import strictjson
from driftd.core.facts import Instance, Unseen
from driftd.core.wording.judging import listed, plain

MOST = 1000
LONGEST = 256
BODY_LIMIT = 1024 * 1024
_KEYS = frozenset({"members", "healthy", "leader", "quorum"})


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a hook said of a cluster. ``healthy`` is part of ``members``; ``leader`` is one of the healthy, or ""."""

    members: frozenset[str]
    healthy: frozenset[str]
    leader: str
    quorum: int


def parse(data: bytes) -> Cluster | Unseen:
    """The cluster that a hook's answer describes; ``Unseen`` with the reason for anything that is not exactly one."""
    if len(data) > BODY_LIMIT:
        return Unseen(f"the quorum hook's answer is longer than {BODY_LIMIT} bytes")
    try:
        return _cluster(strictjson.read(data))
    except ValueError as error:
        return Unseen(
            f"the quorum hook's answer cannot be read: {plain(str(error))}",
            'it is JSON like {"members": ["db-1", "db-2", "db-3"], "healthy": ["db-1", "db-2"], "leader": "db-1"}',
        )


def _cluster(value: object) -> Cluster:
    if not isinstance(value, dict) or not set(value) <= _KEYS:
        raise ValueError(f"it is not one object with {', '.join(sorted(_KEYS))}")
    members, healthy = _names(value, "members"), _names(value, "healthy")
    leader: str = strictjson.field(value, "leader", str)
    if not healthy <= members:
        raise ValueError("somebody is healthy and no member")
    if leader and leader not in healthy:
        raise ValueError("the leader is no healthy member")
    quorum: int = strictjson.field(value, "quorum", int) if "quorum" in value else len(members) // 2 + 1
    if not 1 <= quorum <= len(members):
        raise ValueError(f"a quorum of {quorum} is not possible among {len(members)} members")
    return Cluster(members, healthy, leader, quorum)


def _names(value: object, key: str) -> frozenset[str]:
    found = strictjson.field(value, key, list)
    if len(found) > MOST or not all(
        isinstance(name, str) and 0 < len(name) <= LONGEST and name.isprintable() for name in found
    ):
        raise ValueError(f"its {key!r} are not at most {MOST} names")
    if len(set(found)) != len(found):
        raise ValueError(f"a name stands twice in its {key!r}")
    return frozenset(found)


def known_as(instance: Instance) -> frozenset[str]:
    """The names by which a hook may mean ``instance``."""
    return frozenset(name for name in (instance.id, instance.slot, instance.address) if name)


def not_alone(others: Sequence[str]) -> str:
    """Why a member waits for ``others``, the slots of its cluster that are being replaced; "" when there are none."""
    if not others:
        return ""
    some = f"{len(others)} other members are" if len(others) > 1 else "1 other member is"
    return f"{some} being replaced ({listed(others)}), and a cluster spares one at a time"


def refusal(
    cluster: Cluster | Unseen,
    names: Collection[str],
    *,
    removed: bool,
    waiting: Sequence[Collection[str]] = (),
) -> str:
    """Why the member that is known as ``names`` may not leave now, with the arithmetic; "" when it may.

    ``removed``: this replacement has taken the member out already, so that it must not be counted a second time.
    ``waiting`` are the names of other members that wait for their own replacement.
    """
    if isinstance(cluster, Unseen):
        return f"whether the quorum holds is not known, so nothing leaves it: {cluster.reason}"
    me = cluster.members & frozenset(names)
    return (
        _not_known(cluster, me, names, removed=removed)
        or _too_few(cluster, me, removed=removed)
        or ("" if removed else _not_last(cluster, me, waiting))
    )


def _not_known(cluster: Cluster, me: Collection[str], names: Collection[str], *, removed: bool) -> str:
    if len(me) > 1:
        return f"the quorum hook knows {listed(sorted(me))} as different members, and driftd as one instance"
    if not me and not removed:
        return f"the quorum hook does not know {listed(sorted(names))} among its {len(cluster.members)} members"
    return ""


def _too_few(cluster: Cluster, me: frozenset[str], *, removed: bool) -> str:
    """n_healthy - 1 >= quorum; one that is ill, or was taken out already, is not subtracted again."""
    after = len(cluster.healthy - me)
    if after >= cluster.quorum:
        return ""
    without = "are left" if removed else "would be left"
    return f"{after} healthy of {len(cluster.members)} members {without} without it, and the quorum is {cluster.quorum}"


def _not_last(cluster: Cluster, me: Collection[str], waiting: Sequence[Collection[str]]) -> str:
    followers = cluster.members - {cluster.leader}
    first = sorted(min(known) for other in waiting if (known := followers & frozenset(other)))
    if cluster.leader in me and first:
        return f"it leads the cluster, and followers go first: {listed(first)}"
    return ""
