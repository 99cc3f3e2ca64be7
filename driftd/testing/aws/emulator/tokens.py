"""Client tokens: the same call twice is one call, and the same token for another call is refused.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Reservation
from moto.ec2.responses._base_response import EC2BaseResponse
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces
from moto.ec2.responses.launch_templates import LaunchTemplates
from world import World

VALID_S = 24 * 3600.0  # after the instance has ended
LENGTH = 64
NO_PART = {"ClientToken", "DryRun"}


@dataclass
class Known:
    """One call that was made: what it said and what it got."""

    said: str
    result: Any


class Tokens:
    """Every token that was used, by account, region and operation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[tuple[str, str, str, str], Known] = {}
        world.resets.append(self.known.clear)

    def once(self, operation: str, method: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
        """The operation, made idempotent; call it under the world's lock."""

        @wraps(method)
        def guarded(response: EC2BaseResponse) -> ActionResult:
            token = response._get_param("ClientToken")
            if not token or response._get_param("DryRun"):
                return method(response)
            if len(token) > LENGTH:
                raise EC2ClientError("InvalidParameterValue", f"Invalid value '{token}' for clientToken.")
            key, said = (response.current_account, response.region, operation, token), _said(response)
            self._forget(key)
            known = self.known.get(key)
            if known is None:
                result = method(response)
                self.known[key] = Known(said, result)
                return result
            if known.said != said:
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                )
            return known.result

        return guarded

    def _forget(self, key: tuple[str, str, str, str]) -> None:
        known = self.known.get(key)
        made = known.result.result if known else None
        if isinstance(made, Reservation) and all(
            getattr(one, "ended_at", None) and one.ended_at + VALID_S < self.world.now() for one in made.instances
        ):
            del self.known[key]


def _said(response: EC2BaseResponse) -> str:
    pairs = {
        name: values
        for name, values in response.querystring.items()
        if name not in NO_PART and not name.startswith(("X-Amz", "Signature"))
    }
    return hashlib.sha256(json.dumps(pairs, sort_keys=True, default=str).encode()).hexdigest()


def patch(world: World) -> None:
    """Volumes, interfaces, copies of images, launch templates; RunInstances is made so by launches.py."""
    world.tokens = tokens = Tokens(world)
    for owner, name, operation in (
        (ElasticBlockStore, "create_volume", "CreateVolume"),
        (ElasticNetworkInterfaces, "create_network_interface", "CreateNetworkInterface"),
        (AmisResponse, "copy_image", "CopyImage"),
        (LaunchTemplates, "create_launch_template", "CreateLaunchTemplate"),
        (LaunchTemplates, "create_launch_template_version", "CreateLaunchTemplateVersion"),
    ):
        setattr(owner, name, tokens.once(operation, getattr(owner, name)))
    # A repeated answer tells the state of now; volumes.py and lives.py keep the states of the first one true.
    for path in ("RunInstances.Reservation.Instances.Instance.State", "CreateVolumeResponse.State"):
        EC2BaseResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop(path, None)
