"""Settings of a group's hooks (docs/hooks.md): a command, as a list of words, or the long form with what is declared.

Secrets stand in files.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from driftd.core.hooks import HookName, OnFailure
from driftd.settingparts import Duration, Strict

# These are retried for as long as their step may take, which has a name of its own.
_STEPS = {"quiesce": "quiesce_timeout", "serve": "serve_timeout", "step_down": "quiesce_timeout"}


class HookSetting(Strict):
    """One hook: a ``command``, or a ``url`` that is posted to, with the files of its secrets.

    ``timeout`` is for one call (the group's ``hooks.timeout`` where it is not said). One that fails is asked again for
    ``within``, and then ``on_failure`` says what follows.
    """

    command: list[str] = Field(default_factory=list)
    url: str = ""
    token_file: str = ""
    secret_file: str = ""
    ca_file: str = ""
    timeout: Duration | None = Field(default=None, gt=timedelta(0))
    on_failure: OnFailure | None = None
    within: Duration | None = Field(default=None, ge=timedelta(0))

    @model_validator(mode="after")
    def _one_kind(self) -> HookSetting:
        if bool(self.command) == bool(self.url):
            raise ValueError("a hook is either a command or a url: name one of the two")
        if self.command and (self.token_file or self.secret_file or self.ca_file):
            raise ValueError("token_file, secret_file and ca_file are for a url, and this hook is a command")
        return self


def _form(value: object) -> object:
    """The short form is a command; an empty one is no hook."""
    if isinstance(value, list):
        return {"command": value} if value else None
    if value is None or isinstance(value, dict | HookSetting):
        return value
    raise ValueError("a hook is a list of words, [./hooks/serve, --wait], or {url: https://…}")


Hook = Annotated[HookSetting | None, BeforeValidator(_form)]


class HookSettings(Strict):
    """What only the group's owner knows how to do: commands on this host, or HTTP calls, each at its moment."""

    pre_drain: Hook = None
    quiesce: Hook = None
    step_down: Hook = None
    post_attach: Hook = None
    serve: Hook = None
    pre_terminate: Hook = None
    quorum: Hook = None
    timeout: Duration = Field(default=timedelta(seconds=60), gt=timedelta(0))

    @model_validator(mode="after")
    def _declared(self) -> HookSettings:
        for name, one in self.each():
            step = _STEPS.get(name.value)
            if name is HookName.QUORUM and (one.on_failure or one.within is not None):
                raise ValueError("quorum is only asked, and no answer means no: leave on_failure and within out")
            if step and one.within is not None:
                raise ValueError(f"{name} is asked again for as long as replacing.{step} says: leave within out")
        if self.quiesce and self.step_down and self.step_down.on_failure:
            raise ValueError("step_down and quiesce are one step: write on_failure at quiesce")
        return self

    def each(self) -> Iterator[tuple[HookName, HookSetting]]:
        """Those that there are."""
        for name in HookName:
            if (one := getattr(self, name.value)) is not None:
                yield name, one

    def lasting(self) -> timedelta:
        """How long one step may be silent that calls them: handing over and coming to rest are one."""
        times = {name: one.timeout or self.timeout for name, one in self.each()}
        rest = (times.pop(name, timedelta(0)) for name in (HookName.STEP_DOWN, HookName.QUIESCE))
        return max([self.timeout, sum(rest, timedelta(0)), *times.values()])
