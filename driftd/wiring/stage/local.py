"""The demo's stage: real servers of the local provider."""

from __future__ import annotations

import time
from collections.abc import Mapping

from driftd.core.errors import DriftdError
from driftd.core.ports import LaunchRequest, TargetState, Traffic
from driftd.edges.providers.local.provider import LocalProvider
from driftd.flows.survey import edges_of
from driftd.wiring.stage.base import SERVERS, FleetStage
from driftd.wiring.stage.places import wait
from driftd.wiring.stage.texts import CONFIG


class DemoStage(FleetStage):
    """Three servers of this kernel behind HAProxy."""

    template = CONFIG

    def _values(self) -> Mapping[str, object]:
        return {**super()._values(), "dir": self._home, "images": self._images, "person": self._public()}

    @property
    def provider(self) -> LocalProvider:
        """The local provider, as the configuration describes it."""
        provider = super().provider
        if not isinstance(provider, LocalProvider):
            raise DriftdError(f"the demo plays on the local provider, and the entry point gave {type(provider)}")
        return provider

    def launch(self) -> str:
        self.provider.up()
        compute, traffic = edges_of(self.house.groups["web"])
        began = time.monotonic()
        made = []
        for number in range(1, SERVERS + 1):
            slot = f"web/{number}"
            request = LaunchRequest("web", slot, self._image_id, f"demo-{slot}", {"driftd:slot": slot})
            instance = compute.launch(request)
            traffic.register("web", instance)
            made.append(instance)
        wait(lambda: _healthy(traffic) == SERVERS, 30, f"{SERVERS} servers healthy behind the load balancer")
        addresses = ", ".join(f"{i.slot} {i.address}" for i in made)
        return f"{addresses}; in service after {time.monotonic() - began:.1f} s, HAProxy on {self._listen}"


def _healthy(traffic: Traffic) -> int:
    return sum(1 for target in traffic.targets("web") if target.state is TargetState.HEALTHY)
