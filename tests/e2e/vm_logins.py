"""Small looks at the logins of a machine of its own, and what is done to their traces there."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from vms import Vm

from driftd.core.facts import Session, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.reconcile import reconcile
from driftd.core.watching import Message
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.watcher import SshWatcher
from driftd.probe import bundle, wire

WIPED = (
    "journalctl -q --rotate; journalctl -q --vacuum-size=1; rm -f /var/log/journal/*/system@*; "
    "truncate -s 0 /var/log/wtmp /var/log/lastlog"
)


def logins(vm: Vm, since: int = 0) -> Fingerprint:
    """A look at logins; of the tree at its top alone, since all of it takes a minute here. ``since``: the launch."""
    skip = [b"/" + path.name.encode() for path in vm.image.rootfs.iterdir()]
    limits = {b"since": since} if since else {}
    request = bundle.program() + wire.encode_request(b"n" * 16, b"/", [b"sessions"], skip, limits=limits)
    words = vm.deployment.ssh_command(vm.instance, shlex.join(["python3", *bundle.ARGUMENTS]))
    reader = Reader(b"n" * 16, [b"sessions"])
    reader.feed(subprocess.run(words, input=request, capture_output=True, check=True, timeout=300).stdout)
    found = reader.finish()
    assert isinstance(found, Fingerprint), found
    return found


def visit(look: Fingerprint) -> Session:
    """The login that a look itself was, as driftd remembers it."""
    own = next(one for one in look.sessions if one.ancestor)
    assert own.number
    return replace(own, boot=look.boot_id)


def who(look: Fingerprint, *own: Session) -> tuple[Session, ...]:
    """Everybody that a look tells of, with driftd's earlier visits known."""
    return reconcile(look.sessions, look.readings, own, boot_id=look.boot_id).sessions


def counted(found: Sequence[Session]) -> list[Session]:
    """Whom the kernel alone tells of."""
    return [one for one in found if one.evidence == "counter"]


@contextmanager
def watched(vm: Vm) -> Iterator[list[Message | Unseen]]:
    """What a watch says, as it comes; it stands until the block ends, else why it ended is the last that it says."""
    heard: list[Message | Unseen] = []
    stop = threading.Event()
    watcher = SshWatcher(SshOptions(key_file=str(vm.deployment.key)))
    thread = threading.Thread(target=lambda: heard.append(watcher.watch(vm.instance, heard.append, stop.is_set)))
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
