"""A launch hook of an Auto Scaling group as a gate: who is launched waits there until driftd has looked at it.

"Amazon EC2 Auto Scaling lifecycle hooks" in the user guide; CompleteLifecycleAction and RecordLifecycleActionHeartbeat
of the API reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from driftd.core.errors import ProviderError, Refused, Unavailable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.scaling import WAITS, Scaling
from driftd.edges.providers.aws.settings import Served

_LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
_OVER = "No active Lifecycle Action found"
_POLL_S, _WAIT_S = 0.5, 60.0
_KNOWN_S = 600.0  # a hook that somebody removes is missed within ten minutes


class Gate:
    """Those of ``groups`` that have one. Any thread may call."""

    def __init__(
        self,
        cloud: Cloud,
        groups: Mapping[str, Served],
        scaling: Scaling,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cloud = cloud
        self._groups = groups
        self._scaling = scaling
        self._clock = clock
        self.poll_s, self.wait_s = _POLL_S, _WAIT_S
        self._there: dict[str, float] = {}
        self._over: dict[str, set[str]] = {}  # who waits on, for somebody else's hook

    def waiting(self, group: str) -> Sequence[str]:
        """See ``Gated.waiting``."""
        served = self._groups.get(group)
        if served is None or not served.gate:
            return ()
        self._check(served)
        states = self._scaling.states(served.auto_scaling_group)
        waiting = {name for name, state in states.items() if state == WAITS}
        over = self._over[group] = self._over.get(group, set()) & waiting
        return sorted(waiting - over)

    def admit(self, group: str, instance_id: str) -> None:
        """See ``Gated.admit``."""
        action = {**self._action(group, instance_id), "LifecycleActionResult": "CONTINUE"}
        with self._unless_over(group, instance_id):
            self._cloud.do("autoscaling", "complete_lifecycle_action", **action)
        self._over.setdefault(group, set()).add(instance_id)

    def keep_waiting(self, group: str, instance_id: str) -> None:
        """See ``Gated.keep_waiting``."""
        action = self._action(group, instance_id)
        with self._unless_over(group, instance_id):
            self._cloud.do("autoscaling", "record_lifecycle_action_heartbeat", **action)

    def set_apart(self, instance_id: str) -> None:
        """One that waits, and is cut off from everybody, comes to stand by: a hook keeps nobody for good. It can only
        go there by way of service, where nobody reaches it.
        """
        for group, served in self._groups.items():
            name = served.auto_scaling_group
            if not served.gate or self._scaling.state(name, instance_id) != WAITS:
                continue
            self.admit(group, instance_id)
            until = self._clock() + self.wait_s
            while (state := self._scaling.state(name, instance_id)) != "InService":
                if not state or self._clock() > until:
                    raise Unavailable(f"{instance_id} is cut off, and stands not by in {name} yet: it is {state}")
                time.sleep(self.poll_s)
            self._scaling.stand_by(name, instance_id)

    def _action(self, group: str, instance_id: str) -> dict[str, str]:
        served = self._groups[group]
        hook = {"AutoScalingGroupName": served.auto_scaling_group, "LifecycleHookName": served.gate}
        return {**hook, "InstanceId": instance_id}

    @contextmanager
    def _unless_over(self, group: str, instance_id: str) -> Iterator[None]:
        """It waits no more, or for another hook: AWS refuses that, and it is success."""
        try:
            yield
        except Refused as error:
            if not _is_over(error):
                raise
            self._over.setdefault(group, set()).add(instance_id)

    def _check(self, served: Served) -> None:
        """A hook that is not there lets everybody through, and nobody would be missed."""
        now = self._clock()
        if now - self._there.get(served.name, -_KNOWN_S) < _KNOWN_S:
            return
        name, hook = served.auto_scaling_group, served.gate
        answer = self._cloud.ask("autoscaling", "describe_lifecycle_hooks", AutoScalingGroupName=name)
        hooks: list[dict[str, Any]] = answer["LifecycleHooks"]
        if not any(one["LifecycleHookName"] == hook and one["LifecycleTransition"] == _LAUNCHING for one in hooks):
            raise Refused(
                f"Auto Scaling group {name} has no launch hook {hook}, so nobody waits before it serves",
                f"aws autoscaling put-lifecycle-hook --auto-scaling-group-name {name} --lifecycle-hook-name {hook} "
                f"--lifecycle-transition {_LAUNCHING} --heartbeat-timeout 300 --default-result ABANDON",
            )
        self._there[served.name] = now


def _is_over(error: ProviderError) -> bool:
    return code_of(error) == "ValidationError" and _OVER in str(error)
