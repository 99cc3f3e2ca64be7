"""Instances take time to change: pending, stopping and shutting-down are seen, and the ended ones vanish.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
"""

from __future__ import annotations

import copy
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidParameterCombination,
    OperationDisableApiStopNotPermitted,
    OperationNotPermitted4,
)
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState
from moto.ec2.responses.instances import InstanceResponse
from world import World, existing, method

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
ENDING = {"shutting-down", "terminated"}
Moved = list[tuple[Instance, InstanceState]]


class Lives:
    """The states of all instances, and what follows from each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.started, self.stopped, self.ended = Instance.start, Instance.stop, Instance.terminate

    def say(self, instance: Instance, name: str) -> None:
        """It is in this state now, and whoever listens hears it."""
        instance._state.name, instance._state.code = name, CODES[name]
        backend = instance.ec2_backend
        self.world.happened(
            "EC2 Instance State-change Notification",
            backend.account_id,
            backend.region_name,
            {"instance-id": instance.id, "state": name},
        )

    def turn(self, instance: Instance, name: str, then: str) -> InstanceState:
        """Begin to change; where it was before is the answer."""
        before = copy.copy(instance._state)
        self.say(instance, name)
        instance.turning = (self.world.now() + self.world.knobs.settle, then)
        return before

    def start(self, instance: Instance) -> InstanceState:
        """One that runs is left as it is."""
        if instance.state in {"running", "pending"}:
            return copy.copy(instance._state)
        self.world.ask("start", id=instance.id)
        return self.turn(instance, "pending", "running")

    def stop(self, instance: Instance) -> InstanceState:
        """One that is stopped is left as it is."""
        if instance.state in {"stopped", "stopping"}:
            return copy.copy(instance._state)
        self.world.ask("stop", id=instance.id)
        return self.turn(instance, "stopping", "stopped")

    def terminate(self, instance: Instance) -> InstanceState:
        """Ends in whatever state it is; its volumes are free when it has ended, not before."""
        if instance.state in ENDING:
            return copy.copy(instance._state)
        self.world.ask("terminate", id=instance.id)
        return self.turn(instance, "shutting-down", "terminated")

    def tick(self) -> bool:
        """Finish what is due; take away what ended long ago."""
        changed = False
        for backend in existing(ec2_backends):
            for instance in backend.all_instances():
                due = getattr(instance, "turning", None)
                if due and due[0] <= self.world.now():
                    instance.turning = None
                    with self.world.quiet():
                        self._finish(instance, due[1])
                    if due[1] == "terminated":
                        instance.ended_at = due[0]  # and not when somebody came to look
                    changed = True
            self._vanish(backend)
        return changed

    def _finish(self, instance: Instance, name: str) -> None:
        if name == "terminated":
            self._end(instance)
        elif name == "stopped":
            self.stopped(instance)
        else:
            self.started(instance)
        self.say(instance, name)

    def _end(self, instance: Instance) -> None:
        backend = instance.ec2_backend
        subnet = backend.get_subnet(instance.subnet_id) if instance.subnet_id else None
        for address in [one for one in backend.addresses if one.instance is instance or _is_of(one.eni, instance)]:
            backend.disassociate_address(address=address.public_ip)
        self.ended(instance)
        kept = [nic for nic in instance.nics.values() if nic.id in backend.enis]
        for nic in kept:
            instance.detach_eni(nic)
        if subnet:
            for address in instance._private_ips - {nic.private_ip_address for nic in kept}:
                subnet.del_subnet_ip(address)
        instance._private_ips = set()  # moto frees them once more when it forgets the instance, whoever has them then
        instance.nics = {}
        instance.ended_at = self.world.now()

    def _vanish(self, backend: Any) -> None:
        latest = self.world.now() - self.world.knobs.gone
        for reservation in list(backend.reservations.values()):
            if any((getattr(one, "ended_at", None) or latest + 1) <= latest for one in reservation.instances):
                # A new record: a client token still answers with the old one.
                fresh = copy.copy(reservation)
                fresh.instances = [
                    one for one in reservation.instances if (getattr(one, "ended_at", None) or latest + 1) > latest
                ]
                backend.reservations[reservation.id] = fresh
                if not fresh.instances:
                    del backend.reservations[reservation.id]


def _is_of(eni: Any, instance: Instance) -> bool:
    return eni is not None and eni.instance is instance and eni.delete_on_termination


def _wrong_state(instance: Instance, done: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState", f"The instance '{instance.id}' is not in a state from which it can be {done}."
    )


def _terminate_all(backend: Any, instance_ids: list[str]) -> Moved:
    """A protected one saves all that were named with it in its zone, and no others.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    if not instance_ids:
        raise InvalidParameterCombination("No instances specified")
    instances = backend.get_multi_instances_by_id(list(dict.fromkeys(instance_ids)))
    saved = {one.availability_zone for one in instances if one.disable_api_termination is True}
    moved = [(one, one.terminate()) for one in instances if one.availability_zone not in saved]
    for one in instances:
        if one.disable_api_termination is True:
            raise OperationNotPermitted4(one.id)
    return moved


def _stop_all(backend: Any, instance_ids: list[str]) -> Moved:
    """Only running ones stop, and all of them or none."""
    instances = backend.get_multi_instances_by_id(instance_ids)
    for one in instances:
        if one.disable_api_stop is True:
            raise OperationDisableApiStopNotPermitted(one.id)
        if one.state not in {"running", "stopping", "stopped"}:
            raise _wrong_state(one, "stopped")
    return [(one, one.stop()) for one in instances]


def _start_all(backend: Any, instance_ids: list[str]) -> Moved:
    """Only stopped ones start, and all of them or none."""
    instances = backend.get_multi_instances_by_id(instance_ids)
    for one in instances:
        if one.state not in {"running", "pending", "stopped"}:
            raise _wrong_state(one, "started")
    return [(one, one.start()) for one in instances]


def _answer(verb: str, key: str) -> Any:
    def called(response: InstanceResponse) -> ActionResult:
        wanted = response._get_param("InstanceIds", [])
        response.ec2_backend.get_multi_instances_by_id(wanted)
        response.error_on_dryrun()
        moved = getattr(response.ec2_backend, verb)(wanted)
        said = [
            {"InstanceId": one.id, "CurrentState": copy.copy(one._state), "PreviousState": before}
            for one, before in moved
        ]
        return ActionResult({key: said})

    return called


def _shutdown_behaviour(response: InstanceResponse, plain: Any) -> bool:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""
    said = response._get_param("InstanceInitiatedShutdownBehavior.Value")
    if said is None:
        return bool(plain(response))
    response.error_on_dryrun()
    response.ec2_backend.get_instance(response._get_param("InstanceId")).instance_initiated_shutdown_behavior = said
    return True


def patch(world: World) -> None:
    """States, their order, and what each transition refuses."""
    world.lives = lives = Lives(world)
    Instance.start = method(lives.start)
    Instance.stop = method(lives.stop)
    Instance.terminate = method(lives.terminate)
    InstanceBackend.terminate_instances = _terminate_all
    InstanceBackend.stop_instances = _stop_all
    InstanceBackend.start_instances = _start_all
    InstanceResponse.terminate_instances = _answer("terminate_instances", "TerminatingInstances")
    InstanceResponse.stop_instances = _answer("stop_instances", "StoppingInstances")
    InstanceResponse.start_instances = _answer("start_instances", "StartingInstances")
    plain = InstanceResponse._dot_value_instance_attribute_handler
    InstanceResponse._dot_value_instance_attribute_handler = lambda self: _shutdown_behaviour(self, plain)
    world.ticks.append(lives.tick)
