"""The collectors, in the order in which they are asked. Each has ``collect(place, found, live)`` and adds to ``found``.

``place`` is the root (inside.Root), ``live`` whether it is the running machine's own: only there do the kernel, PID 1
and programs have a say. A collector never raises for what an instance holds; what it may not see, it says.
"""

from typing import Any, Tuple

from driftd.probe import (
    accounts,
    binfmt,
    containers,
    cron,
    firewall,
    inside,
    kernel,
    keys,
    logins,
    modules,
    mounted,
    packages,
    running,
    sshd,
    sudoers,
    sysctl,
    units,
)
from driftd.probe.found import Found

COLLECTORS = (
    packages,
    accounts,
    sudoers,
    keys,
    logins,
    sshd,
    units,
    kernel,
    modules,
    sysctl,
    mounted,
    running,
    firewall,
    binfmt,
    containers,
    cron,
)  # type: Tuple[Any, ...]


def collect(place, found, live):
    # type: (inside.Root, Found, bool) -> None
    """Ask every collector."""
    for collector in COLLECTORS:
        collector.collect(place, found, live)
