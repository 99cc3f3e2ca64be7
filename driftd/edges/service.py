"""The service manager that started this process: systemd's notification socket (sd_notify(3)), if there is one.

The protocol is lines in one datagram. No library for it is both kept and small, and this is all of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

SOCKET, USEC, PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """Takes the socket's address out of the environment, so that no program that driftd starts speaks for it.

    ``watchdog_s`` is how long it may hear nothing before it ends us; 0.0 where it does not listen for that.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        address, usec, pid = (given.pop(name, "") for name in (SOCKET, USEC, PID))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = not pid or pid == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if ours and usec.isdecimal() else 0.0

    @property
    def listens(self) -> bool:
        """Whether somebody wants to know."""
        return bool(self._address)

    def tell(self, **said: str | int) -> None:
        """Send e.g. ``READY=1, STATUS="…"``. Never fails: nobody could do anything about it."""
        if not self._address:
            return
        # A line ends a value: what comes from elsewhere must not add one.
        text = "\n".join(f"{name}={' '.join(str(value).splitlines())}" for name, value in said.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
            wire.settimeout(1.0)
            wire.sendto(text.encode("utf-8", "replace"), self._address)
