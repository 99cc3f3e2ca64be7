"""Host keys that an instance wrote to its console when it first booted, read through EC2 and not over the network.

cloud-init writes them between "BEGIN SSH HOST KEY KEYS" and "END SSH HOST KEY KEYS" (its module ``keys_to_console``).
Whoever is root there may write to the console later. So what was read first is kept in a tag, which an instance cannot
change unless its own role may, and counts from then on.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from driftd.core.errors import ProviderError
from driftd.core.facts import Instance
from driftd.edges.providers.aws.cloud import Cloud
from driftd.probe.keys import read_line

TAG_HOSTKEY = "driftd:hostkey"
_BEGIN, _END = b"-----BEGIN SSH HOST KEY KEYS-----", b"-----END SSH HOST KEY KEYS-----"
_LINE = re.compile(rb"\b(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/]{40,2000}={0,2})")
_PREFERRED = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521")
_TAG_LONGEST = 256  # "Tag restrictions": characters of a value
_AGAIN_S, _RARELY_S = 15.0, 3600.0
_MOST = 20_000  # instances whose keys, and whose turn, are kept


class HostKeys:
    """Host keys by instance, in known_hosts form. Never raises: without keys the operator's known_hosts decides.

    A console is one call for each instance, so it is read when somebody is about to connect, and not with a listing.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        self._due: dict[str, tuple[float, float]] = {}  # when a console is read again, and how long after the last time

    def of(self, instance_id: str) -> tuple[str, ...]:
        """Those of one instance that runs. Until they are there its console is read, more and more rarely."""
        with self._lock:
            known, now = self._known.get(instance_id, ()), time.monotonic()
            at, wait = self._due.get(instance_id, (now, _AGAIN_S))
            if known or now < at:
                return known
            if len(self._due) > _MOST:  # of instances that are long gone
                self._due.clear()
            self._due[instance_id] = now + wait, min(2 * wait, _RARELY_S)
        found = self._read(instance_id)
        if found:
            with self._lock:
                if len(self._known) > _MOST:
                    self._known.clear()
                found = self._known.setdefault(instance_id, found)
        return found

    def keep(self, instance: Instance) -> None:
        """Into the tag, unless it is there: for later, when the console tells of other things. Best effort."""
        if self._cloud.settings.host_keys != "console" or tagged(instance.tags):
            return
        found = self.of(instance.id)
        if found and len(found[0]) <= _TAG_LONGEST:
            tag = {"Key": TAG_HOSTKEY, "Value": found[0]}
            with suppress(ProviderError):
                self._cloud.do("ec2", "create_tags", Resources=[instance.id], Tags=[tag])

    def _read(self, instance_id: str) -> tuple[str, ...]:
        try:
            answer = self._cloud.ask("ec2", "get_console_output", InstanceId=instance_id, Latest=True)
        except ProviderError:
            return ()
        return published(str(answer.get("Output") or "").encode("utf-8", "replace"))  # botocore has decoded it


def tagged(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The key that was kept in an instance's tag, if one was."""
    kept = tags.get(TAG_HOSTKEY, "")
    return (kept,) if kept and read_line(kept.encode("ascii", "replace")) else ()


def published(console: bytes) -> tuple[str, ...]:
    """The keys in the first whole block of a console's text, the best kind first; none where there is no such block."""
    _, begun, rest = console.partition(_BEGIN)
    block, ended, _ = rest.partition(_END)
    if not begun or not ended:
        return ()
    found = {kind: kind + b" " + blob for kind, blob in _LINE.findall(block) if read_line(kind + b" " + blob)}
    order = [kind for kind in _PREFERRED if kind in found] + [kind for kind in found if kind not in _PREFERRED]
    return tuple(found[kind].decode("ascii") for kind in order)
