"""Parts of the settings (driftd/settings.py): times, what a group does about sessions, sections of providers."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


def duration(text: object) -> timedelta:
    """A length of time written as people write it: ``500ms``, ``90s``, ``5m``, ``1h30m``, ``7d``. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 5m, 1h30m or 7d")
    days, hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)


Duration = Annotated[timedelta, BeforeValidator(duration)]


class Strict(BaseModel):
    """A section: an unknown key in it is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(f"{text!r} is no network; write it like 192.0.2.10 or 198.51.100.0/24") from None


class Certificates(Strict):
    """How the certificates that visits are made with are made (docs/ssh.md): ``ca`` signs them, none of it is sent.

    Without ``principals`` the user's name is the one; without ``source_address`` it counts from our own address alone.
    """

    ca: str
    valid: Duration = Field(default=timedelta(minutes=5), ge=timedelta(seconds=30), le=timedelta(hours=1))
    principals: list[str] = Field(default_factory=list)
    source_address: list[Annotated[str, AfterValidator(_network)]] = Field(default_factory=list)
    force_command: bool = True


class Answer(StrEnum):
    """What is done about a session (docs/sessions.md)."""

    OBSERVE = "observe"
    ALERT = "alert"
    REPLACE = "replace"


class Sessions(Strict):
    """What is done about sessions by their kind, and how long people are waited for (docs/sessions.md).

    ``any`` is of every kind that has no answer of its own. All ``None``: the packs decide, and theirs is to observe.
    """

    any: Answer | None = None
    interactive: Answer | None = None
    command: Answer | None = None
    transfer: Answer | None = None
    forward: Answer | None = None
    grace: Duration = timedelta(minutes=30)
    cap: Duration = timedelta(hours=24)

    @model_validator(mode="after")
    def _in_order(self) -> Sessions:
        if self.grace > self.cap:
            raise ValueError("a grace longer than the cap would never be waited for to its end; make the cap longer")
        return self


_SECTION_LONGEST = 63


def _sections(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, section in value.items():
        if not (name and name.isprintable() and len(name) <= _SECTION_LONGEST):
            raise ValueError(f"{name[:80]!r} names no section; write up to {_SECTION_LONGEST} printable characters")
        if "provider" in section and not (isinstance(section["provider"], str) and section["provider"]):
            raise ValueError(f"{name}.provider says which provider the section is for, by its name, like aws")
    return value


Sections = Annotated[dict[str, dict[str, Any]], AfterValidator(_sections)]
LEAST_SETTLE = timedelta(seconds=45)  # what Linux takes to write out a page, as it is set by default, and a little


class OutOfBand(Strict):
    """Looks at an instance's disk from outside (docs/out-of-band.md): how often the daemon makes one, None for never.

    ``settle`` is how long what an instance writes may take to its disk: that old a look must be to speak against it.
    """

    every: Duration | None = Field(default=None, ge=timedelta(minutes=10))
    settle: Duration = timedelta(minutes=2)

    @model_validator(mode="after")
    def _settles(self) -> OutOfBand:
        if self.settle < LEAST_SETTLE:
            least = LEAST_SETTLE.total_seconds()
            raise ValueError(
                f"settle is at least {least:.0f}s: until then what an instance wrote may not be on its disk"
            )
        return self
