"""Asks the world behind the records: one POST of JSON for each thing that real servers have to follow.

While it answers, the matter must not call the emulator's EC2, ELB or Auto Scaling: the call that asks holds their lock.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 120


class MatterAway(Exception):
    """The matter failed or is not there: the call becomes an InternalError."""


class Busy(Exception):
    """The matter says that it cannot now, and why."""


class Matter:
    """The world at ``url``; without one, everything is done and healthy."""

    def __init__(self, url: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self.url, self.timeout_s = url, timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, do: str, **said: Any) -> dict[str, Any]:
        """What it answers to one order or question."""
        if not self.url:
            return {"healthy": True} if do == "health" else {}
        request = urllib.request.Request(  # noqa: S310 - whoever starts the emulator names this URL
            self.url, json.dumps({"do": do, **said}).encode(), {"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                found = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            why = _why(error)
            if error.code == 409:
                raise Busy(why) from error
            raise MatterAway(f"the matter answered {error.code} to {do}: {why}") from error
        except (OSError, ValueError) as error:
            raise MatterAway(f"the matter did not answer to {do}: {error}") from error
        if not isinstance(found, dict):
            raise MatterAway(f"the matter answered no object to {do}")
        return found


def _why(error: urllib.error.HTTPError) -> str:
    text = error.read(4096).decode(errors="replace")
    try:
        return str(json.loads(text)["why"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
