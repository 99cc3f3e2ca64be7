"""Route 53: batches of changes that hold whole or not at all, and take their time to be everywhere.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from common import KNOBS, ApiError, bind, now
from moto.core.responses import ActionResult
from moto.route53 import models
from moto.route53.models import FakeZone, RecordSet, Route53Backend
from moto.route53.responses import Route53
from moto.route53.utils import validate_domain_name
from world import World, method

Key = tuple[str, str, str]
ACTIONS = ("CREATE", "DELETE", "UPSERT")
# What a DELETE has to say exactly as it is.
SAID = ("TTL", "Weight", "Region", "Failover", "MultiValueAnswer", "HealthCheckId", "GeoLocation", "AliasTarget")
KEPT = ("ttl", "weight", "region", "failover", "multi_value_answer", "health_check_id", "geo_location", "alias_target")


def _key(said: dict[str, Any]) -> Key:
    return said["Name"].rstrip(".").lower() + ".", said["Type"], said.get("SetIdentifier") or ""


def _values(said: dict[str, Any]) -> list[str]:
    found = [one["Value"] if isinstance(one, dict) else one for one in said.get("ResourceRecords") or ()]
    return sorted(found)


def _plain(value: Any) -> str:
    return "" if value in (None, "", [], {}) else str(value).lower()


def _same(here: RecordSet, said: dict[str, Any]) -> bool:
    told = [_plain(getattr(here, kept)) == _plain(said.get(name)) for name, kept in zip(SAID, KEPT, strict=True)]
    return all(told) and sorted(here.records or []) == _values(said)


class Names:
    """The changes that were asked for, by their ids."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changes: dict[str, dt.datetime] = {}
        world.resets.append(self.changes.clear)

    def change(self, backend: Route53Backend, zone_id: str, batch: list[dict[str, Any]]) -> None:
        """All of a batch, or nothing of it."""
        zone = backend.get_hosted_zone(zone_id)
        there = {self._of(one): one for one in zone.rrsets}
        wrong = [why for one in batch if (why := self._apply(zone, there, one))]
        if wrong:
            raise ApiError("InvalidChangeBatch", f"[{', '.join(wrong)}]")
        zone.rrsets = list(there.values())

    def _of(self, one: RecordSet) -> Key:
        return one.name.rstrip(".").lower() + ".", str(one.type), one.set_identifier or ""

    def _apply(self, zone: FakeZone, there: dict[Key, RecordSet], change: dict[str, Any]) -> str:
        """One change of a batch upon what those before it left; why it cannot be."""
        action, said = change["Action"], dict(change["ResourceRecordSet"])
        if action not in ACTIONS:
            raise ApiError("InvalidInput", f"Invalid XML ; Value '{action}' is not facet-valid")
        validate_domain_name(said["Name"], code="InvalidChangeBatch")
        key = _key(said)
        what = f"resource record set [name='{key[0]}', type='{key[1]}'"
        what += f", set identifier='{key[2]}']" if key[2] else "]"
        if not key[0].endswith(f".{zone.name.strip('.')}.") and key[0] != zone.name.strip(".") + ".":
            return f"RRSet with DNS name {key[0]} is not permitted in zone {zone.name}"
        if action == "DELETE":
            return self._delete(there, key, said, what)
        if action == "CREATE" and key in there:
            return f"Tried to create {what} but it already exists"
        if not said.get("AliasTarget") and ("TTL" not in said or not _values(said)):
            return f"Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]] for {what}"
        if why := _beside(there, key, what):
            return why
        there[key] = RecordSet({**said, "Name": key[0], "ResourceRecords": _values(said)})
        return ""

    def _delete(self, there: dict[Key, RecordSet], key: Key, said: dict[str, Any], what: str) -> str:
        here = there.get(key)
        if here is None:
            return f"Tried to delete {what} but it was not found"
        if not _same(here, said):
            return f"Tried to delete {what} but the values provided do not match the current values"
        del there[key]
        return ""

    def asked(self, response: Route53, plain: Any) -> ActionResult:
        """A change is pending at first; that is said with an id of its own."""
        plain(response)
        ident = f"C{len(self.changes):020d}"
        self.changes[ident] = now()
        return ActionResult({"ChangeInfo": {"Id": f"/change/{ident}", "Status": "PENDING", "SubmittedAt": now()}})

    def got(self, response: Route53) -> ActionResult:
        """PENDING until it is at every name server."""
        ident = str(response._get_param("Id") or response.uri.rsplit("/", 1)[-1]).removeprefix("/change/")
        if ident not in self.changes:
            raise ApiError("NoSuchChange", f"Could not find resource with ID: {ident}")
        since = self.changes[ident]
        done = (now() - since).total_seconds() >= KNOBS["dns_sync_s"]
        info = {"Id": f"/change/{ident}", "Status": "INSYNC" if done else "PENDING", "SubmittedAt": since}
        return ActionResult({"ChangeInfo": info})


def _beside(there: dict[Key, RecordSet], key: Key, what: str) -> str:
    """Simple records and those with an identifier do not stand side by side.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html (SetIdentifier)
    """
    same = [other for other in there if other[:2] == key[:2] and other != key]
    if any(bool(other[2]) != bool(key[2]) for other in same):
        return f"{what} with and without an identifier cannot stand side by side"
    return ""


def patch(world: World) -> None:
    """Batches and their way."""
    bind(world)
    ours, plain = Names(world), Route53.change_resource_record_sets
    Route53Backend.change_resource_record_sets = method(ours.change)
    Route53.change_resource_record_sets = lambda self: ours.asked(self, plain)
    Route53.get_change = method(ours.got)
    ident = models.create_route53_zone_id
    models.create_route53_zone_id = lambda *said, **more: "Z" + ident(*said, **more)[1:]  # as all of Route 53's are
