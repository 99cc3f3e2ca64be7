"""The stages that ``driftd demo`` is played on."""

from __future__ import annotations

from collections.abc import Callable

from driftd.core.errors import BadInput
from driftd.doors.demo.stage import Where
from driftd.wiring.stage.base import PORTS, SERVERS, FleetStage
from driftd.wiring.stage.local import DemoStage
from driftd.wiring.stage.places import again_inside, clean, directory
from driftd.wiring.stage.texts import CONFIG, POLICY

__all__ = ["CONFIG", "POLICY", "PORTS", "SERVERS", "DemoStage", "FleetStage", "clean", "directory", "inside", "stage"]


def stage(where: Where) -> FleetStage:
    """The one for servers there. Raises BadInput where a package is missing that it needs."""
    if where is Where.LOCAL:
        return DemoStage()
    try:
        from driftd.wiring.stage.aws import AwsStage  # noqa: PLC0415  # boto3 is an extra
    except ModuleNotFoundError as error:
        raise BadInput(f"{error.name} is not installed", "pip install 'driftd[aws]'") from None
    return AwsStage()


def inside(where: Where, *, keep: bool) -> int | None:
    """See ``House.demo_inside``."""
    return again_inside(_FETCH[where], keep=keep)


def _emulator(say: Callable[[str], None]) -> None:
    from driftd.wiring.stage.aws import emulator  # noqa: PLC0415  # boto3 is an extra

    emulator(say)


_FETCH: dict[Where, Callable[[Callable[[str], None]], None]] = {
    Where.LOCAL: lambda _say: None,
    Where.AWS_EMULATED: _emulator,
}
