"""A part of the settings (driftd/settings.py): the ways in to a group's instances."""

from __future__ import annotations

from pydantic import Field, model_validator

from driftd.settingparts import Strict


class SshReach(Strict):
    """How a group's instances are reached over SSH; what is left out comes from the top-level ``ssh`` section.

    With ``instance_connect`` no key is there already: the provider lets in one that is made for the connection.
    """

    user: str = ""
    key: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    instance_connect: bool = False

    @model_validator(mode="after")
    def _one_key(self) -> SshReach:
        if self.key and self.instance_connect:
            raise ValueError("key and instance_connect exclude each other; a pushed key is made for each connection")
        return self


class SsmReach(Strict):
    """Run Command of AWS: answers go through ``bucket``, in the folder ``prefix``; both are readable by few."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(default="driftd", max_length=300, pattern=r"^$|^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$")


class Reach(Strict):
    """The ways in: SSH, or ``ssm`` where the provider has it."""

    ssh: SshReach = SshReach()
    ssm: SsmReach | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Reach:
        if self.ssm is not None and "ssh" in self.model_fields_set:
            raise ValueError("ssh and ssm exclude each other; instances are looked at one way or the other")
        return self
