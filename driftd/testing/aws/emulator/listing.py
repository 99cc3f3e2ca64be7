"""DescribeInstances and DescribeInstanceStatus: pages of instances, and what was just launched may not be listed.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidInstanceIdError,
    InvalidNextToken,
    InvalidParameterCombination,
)
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import filter_reservations
from world import World

FEWEST, MOST = 5, 1000


def _limit(response: InstanceResponse, wanted: list[str]) -> int:
    said = response._get_param("MaxResults")
    if said is None:
        return MOST
    if wanted:
        raise InvalidParameterCombination("The parameter instancesSet cannot be used with the parameter maxResults")
    if not FEWEST <= int(said) <= MOST:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ( {said} ) for parameter maxResults is invalid. Expecting a value from {FEWEST} to {MOST}.",
        )
    return int(said)


def _after(token: str | None, rows: list[tuple[Any, Instance]]) -> list[tuple[Any, Instance]]:
    """What follows the instance that the token names, also when that one is gone."""
    if token is None:
        return rows
    try:
        reservation, _, instance = base64.urlsafe_b64decode(token).decode().partition(" ")
    except ValueError as error:
        raise InvalidNextToken(token) from error
    keys = [(one.id, found.id) for one, found in rows]
    if (reservation, instance) not in keys:
        raise InvalidNextToken(token)
    return rows[keys.index((reservation, instance)) + 1 :]


def _grouped(rows: list[tuple[Any, Instance]]) -> list[Any]:
    found: dict[str, Any] = {}
    for reservation, instance in rows:
        if reservation.id not in found:
            found[reservation.id] = copy.copy(reservation)
            found[reservation.id].instances = []
        found[reservation.id].instances.append(instance)
    return list(found.values())


# What moto's own filters lack.
FILTERS: dict[str, Callable[[Instance], list[Any]]] = {
    "client-token": lambda one: [one.client_token],
    "network-interface.network-interface-id": lambda one: [nic.id for nic in one.nics.values()],
    "network-interface.addresses.private-ip-address": lambda one: [
        each["PrivateIpAddress"] for nic in one.nics.values() for each in nic.private_ip_addresses
    ],
    "network-interface.addresses.association.public-ip": lambda one: [nic.public_ip for nic in one.nics.values()],
    "block-device-mapping.volume-id": lambda one: [block.volume_id for _, block in one.get_block_device_mapping],
    "block-device-mapping.device-name": lambda one: [device for device, _ in one.get_block_device_mapping],
}


def _filtered(reservations: list[Any], filters: dict[str, Any]) -> list[Any]:
    ours = {name: values for name, values in filters.items() if name in FILTERS}
    for one in reservations:
        one.instances = [
            each
            for each in one.instances
            if all(
                any(fnmatchcase(str(has), value) for has in FILTERS[name](each) for value in values)
                for name, values in ours.items()
            )
        ]
    theirs = {name: values for name, values in filters.items() if name not in FILTERS}
    return filter_reservations(reservations, theirs) if theirs else reservations


def patch(world: World) -> None:
    """Listings see what is old enough to be seen, and count instances."""

    def seen(instance: Instance) -> bool:
        return getattr(instance, "launched_at", 0.0) + world.knobs.lag <= world.now()

    def describe(response: InstanceResponse) -> ActionResult:
        wanted = response._get_param("InstanceIds", [])
        limit = _limit(response, wanted)
        filters = response._filters_from_querystring()
        response.error_on_dryrun()
        reservations = response.ec2_backend.all_reservations()
        known = {one.id for each in reservations for one in each.instances if seen(one)}
        if missing := [one for one in wanted if one not in known]:
            raise InvalidInstanceIdError(missing if len(missing) > 1 else missing[0])
        for one in reservations:
            one.instances = [each for each in one.instances if each.id in (wanted or known)]
        found = _filtered(reservations, filters)
        rows = _after(response._get_param("NextToken"), [(one, each) for one in found for each in one.instances])
        page, token = rows[:limit], None
        if len(rows) > limit:
            last, instance = page[-1]
            token = base64.urlsafe_b64encode(f"{last.id} {instance.id}".encode()).decode()
        return ActionResult({"Reservations": _grouped(page), "NextToken": token})

    plain = InstanceBackend.describe_instance_status

    def status(backend: Any, instance_ids: list[str], include_all: bool, filters: Any) -> list[Instance]:
        found = plain(backend, instance_ids, include_all, filters)
        if missing := [one.id for one in found if instance_ids and not seen(one)]:
            raise InvalidInstanceIdError(missing)
        return [one for one in found if seen(one)]

    InstanceResponse.describe_instances = describe
    InstanceBackend.describe_instance_status = status
