"""Records of Route 53 that point at a slot's instance, as movable addresses. Records carry no tags, so the
configuration says which.

A record is changed by deleting exactly what was read and creating the new one in one batch, which Route 53 applies
whole or not at all ("ChangeResourceRecordSets"): whoever changed it meanwhile makes that fail. It counts as moved when
GetChange says that all name servers have it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.ports import Address
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.settings import RecordSettings

_MOST = "100"  # of one name and type: "Quotas", Route 53 Developer Guide
_ALIAS, _NO_VALUE = "an alias record", "a record without a value"
Record = Mapping[str, Any]


class AwsRecords:
    """Implements ``Addresses`` for the records that are configured."""

    def __init__(self, cloud: Cloud, instances: Instances, records: Sequence[RecordSettings]) -> None:
        self._cloud = cloud
        self._instances = instances
        self._records = {one.title: one for one in records}
        self._lock = threading.Lock()
        self._pending: dict[str, str] = {}  # by address, the change that was not everywhere when last asked about

    def knows(self, address: str) -> bool:
        """Whether it is one of these."""
        return address in self._records

    def list(self) -> Sequence[Address]:
        """See ``Addresses.list``."""
        read = {title: self._read(one) for title, one in self._records.items()}
        owners = self._owners({value for said in read.values() if (value := _value(said))})
        found = []
        for title, one in self._records.items():
            said = read[title]
            owner = self._owner(said, owners)
            linger = int(said["TTL"]) if said and "TTL" in said else one.ttl
            made = said is not None and {**said, "Name": one.name} == _pointing(one, None, _value(said))
            found.append(Address(title, one.slot, owner, timedelta(seconds=linger), self._underway(title), made))
        return sorted(found, key=lambda each: (each.slot, each.address))

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``Addresses.associate``. Until all name servers have it, ``Address.underway`` says so."""
        one, said = self._records[address], self._read(self._records[address])
        owner = self._owner(said, self._owners({value for value in [_value(said)] if value}))
        value = str(self._instances.raw(instance_id).get("PrivateIpAddress") or "")
        if owner == instance_id:
            return
        if owner not in {"", expected_owner}:
            raise Refused(f"record {address} belongs to {owner} now", "say whom it is to be taken from")
        if not value:
            raise Refused(f"{instance_id} has no private address that record {address} could point at")
        self._change(address, said, _pointing(one, said, value))

    def release(self, address: str, expected_owner: str) -> None:
        """See ``Addresses.release``: the record is deleted."""
        said = self._read(self._records[address])
        if said is None:
            return
        owner = self._owner(said, self._owners({value for value in [_value(said)] if value}))
        if owner == "":
            return
        if owner != expected_owner:
            raise Refused(f"record {address} belongs to {owner} now", "driftd deletes no record of others")
        self._change(address, said, None)

    # --- what stands there ---

    def _read(self, one: RecordSettings) -> Record | None:
        """The record as Route 53 tells of it; None where there is none."""
        more = {"StartRecordName": one.name, "StartRecordType": "A", "MaxItems": _MOST}
        answer = self._cloud.ask("route53", "list_resource_record_sets", HostedZoneId=one.zone, **more)
        for said in answer["ResourceRecordSets"]:
            same = said["Type"] == "A" and str(said["Name"]).rstrip(".").lower() == one.name
            if same and said.get("SetIdentifier", "") == one.set:
                found: Record = said
                return found
        return None

    def _owners(self, values: set[str]) -> dict[str, str]:
        """Whose each private address is: an instance's id, "" where nobody has one of our own subnets' addresses, and
        the address itself where it is somebody else's.
        """
        if not values:
            return {}
        filters = [{"Name": "addresses.private-ip-address", "Values": sorted(values)}]
        found: dict[str, set[str]] = {value: set() for value in values}
        for each in self._cloud.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters):
            for value in _addresses(each) & values:
                found[value].add(str(each.get("Attachment", {}).get("InstanceId") or value))
        free = {value for value, owners in found.items() if not owners}
        ours = self._in_our_subnets(free) if free else set()
        return {
            value: "" if value in ours else next(iter(owners)) if len(owners) == 1 else value
            for value, owners in found.items()
        }

    def _in_our_subnets(self, values: set[str]) -> set[str]:
        subnets = self._cloud.pages("ec2", "describe_subnets", "Subnets")
        nets = [ip_network(one["CidrBlock"]) for one in subnets if one.get("CidrBlock")]
        return {value for value in values if any(ip_address(value) in net for net in nets)}

    def _owner(self, said: Record | None, owners: Mapping[str, str]) -> str:
        """Whose it is, in the words of ``Address.attached_to``; what is nobody's of ours is told as what it is."""
        if said is None:
            return ""
        if said.get("AliasTarget"):
            return _ALIAS
        value = _value(said)
        if not value:
            return " and ".join(each["Value"] for each in said.get("ResourceRecords", ())) or _NO_VALUE
        return owners.get(value, value)

    # --- changing it ---

    def _change(self, address: str, before: Record | None, after: Record | None) -> None:
        both = (("DELETE", before), ("CREATE", after))
        changes = [{"Action": action, "ResourceRecordSet": said} for action, said in both if said is not None]
        answer = self._cloud.do(
            "route53",
            "change_resource_record_sets",
            HostedZoneId=self._records[address].zone,
            ChangeBatch={"Comment": "driftd: moved with its slot", "Changes": changes},
        )
        with self._lock:
            self._pending[address] = str(answer["ChangeInfo"]["Id"]).removeprefix("/change/")

    def _underway(self, address: str) -> bool:
        """Whether its last change is not at all name servers yet."""
        with self._lock:
            change = self._pending.get(address, "")
        if not change:
            return False
        try:
            done = self._cloud.ask("route53", "get_change", Id=change)["ChangeInfo"]["Status"] == "INSYNC"
        except NotFound:
            done = True  # Route 53 forgets changes, long after they were made
        with self._lock:
            if done and self._pending.get(address) == change:
                del self._pending[address]
        return not done


def _value(said: Record | None) -> str:
    """The one address that it points at; "" where there is none or more."""
    values = [str(one["Value"]) for one in (said or {}).get("ResourceRecords", ())]
    return values[0] if len(values) == 1 else ""


def _pointing(one: RecordSettings, said: Record | None, value: str) -> Record:
    """The same record with another address; one that was not there as the configuration says."""
    own = {"SetIdentifier": one.set, "MultiValueAnswer": True} if one.set else {}
    kept = {"Name": one.name, "Type": "A", "TTL": one.ttl, **own} if said is None else said
    return {**kept, "ResourceRecords": [{"Value": value}]}


def _addresses(interface: Mapping[str, Any]) -> set[str]:
    several = {str(one.get("PrivateIpAddress")) for one in interface.get("PrivateIpAddresses", ())}
    return several | {str(interface.get("PrivateIpAddress"))}
