"""A greeting: log in as a look does, start Python as a look does, and ask it nothing but who and when it is.

The command is the look's own, so that the narrowest sudoers line lets it through; the program is three lines.
"""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass
from datetime import timedelta

import paramiko

from driftd.core.checkup import Greeting
from driftd.core.errors import DriftdError
from driftd.core.facts import Instance, Unseen
from driftd.core.visits import Parted
from driftd.edges.ssh.command import NO_PYTHON, command, sudoers_line, uses_sudo
from driftd.edges.ssh.connect import Connection, connect, handshake, key_types
from driftd.edges.ssh.failure import HOSTILE, SshError, quoted
from driftd.edges.ssh.hostkeys import known, place
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.tcp import Deadline

_PROGRAM = b"""
import os, sys, time
sys.stdout.write("driftd-greeting %d.%d.%d %d %.3f\\n" % (sys.version_info[:3] + (os.geteuid(), time.time())))
sys.stdout.flush()
"""
_ANSWER = re.compile(rb"driftd-greeting (\d{1,3}\.\d{1,3}\.\d{1,3}) (\d{1,10}) (\d{1,12}\.\d{3})\n")
_LIMIT = 4096
_READ_S = 0.2


def greet(instance: Instance, options: SshOptions, *, deadline_s: float) -> Greeting | Unseen:
    """Log in once and greet. What the instance does is ``Unseen`` with a sentence, as a look would say it."""
    began = time.monotonic()
    deadline = Deadline(deadline_s)
    try:
        with connect(instance.reach, options, deadline) as connection:
            said = _asked(instance, connection, options, deadline)
    except SshError as error:
        return error.unseen()
    except DriftdError as error:
        return Unseen(str(error), error.hint)
    return _read(instance, options, said, timedelta(seconds=time.monotonic() - began))


def knock(instance: Instance, options: SshOptions, *, deadline_s: float) -> Unseen | None:
    """Ask for the host key alone, and log nobody in; None when it is the known one."""
    reach, deadline = instance.reach, Deadline(deadline_s)
    try:
        trusted = known(reach.host, reach.port, options.known_hosts, reach.vouched())
        wanted, within = key_types(trusted), deadline.within(options.connect_s + options.banner_s)
        with handshake(reach.host, reach.port, wanted, within, options.connect_s) as (_transport, presented, _socket):
            trusted.check(presented)
    except SshError as error:
        return error.unseen()
    except DriftdError as error:
        return Unseen(str(error), error.hint)
    return None


@dataclass(frozen=True, slots=True)
class _Said:
    out: bytes
    err: bytes
    status: int
    at: float


def _asked(instance: Instance, connection: Connection, options: SshOptions, deadline: Deadline) -> _Said:
    where = place(instance.reach.host, instance.reach.port)
    try:
        channel = connection.open_channel()
        try:
            channel.settimeout(max(0.01, deadline.left()))
            channel.exec_command(command(instance.reach.user, options))
            packed = zlib.compress(_PROGRAM)
            channel.sendall(b"%d\n" % len(packed) + packed)
            channel.shutdown_write()
            said = _heard(channel, deadline)
        finally:
            channel.close()
    except HOSTILE as error:
        why = "it did not answer in time" if isinstance(error, TimeoutError) else quoted(str(error)) or "it broke off"
        raise SshError(f"{where} let driftd in, and then: {why}", "see sshd's log on the instance") from None
    if instance.reach.visit is not None and said.status >= 0:
        instance.reach.visit.parts(Parted.ORDERLY)
    return said


def _heard(channel: paramiko.Channel, deadline: Deadline) -> _Said:
    out, err, at = b"", b"", 0.0
    channel.settimeout(_READ_S)
    while deadline.left():
        try:
            data = channel.recv(_LIMIT)
        except TimeoutError:
            data = None
        while channel.recv_stderr_ready():
            err = (err + channel.recv_stderr(_LIMIT))[:_LIMIT]
        if data:
            at, out = time.time(), (out + data)[:_LIMIT]
        elif data is not None:
            channel.status_event.wait(min(1.0, deadline.left()))
            return _Said(out, err, int(channel.exit_status), at or time.time())
    raise TimeoutError


def _read(instance: Instance, options: SshOptions, said: _Said, took: timedelta) -> Greeting | Unseen:
    where, user = place(instance.reach.host, instance.reach.port), instance.reach.user
    if found := _ANSWER.search(said.out):
        ahead = timedelta(seconds=float(found[3]) - said.at)
        return Greeting(found[1].decode(), int(found[2]), ahead, took)
    python = NO_PYTHON.encode() not in said.err
    complaint = next((line for line in said.err.split(b"\n") if b"sudo" in line), b"")
    if complaint or (uses_sudo(user, options) and said.status == 1 and not said.out):
        return Unseen(
            f"{where} does not let {quoted(user)} start the probe with sudo: "
            + (quoted(complaint) or "it did not say why"),
            "put this line into /etc/sudoers.d/driftd there: " + sudoers_line(user, options, python=python),
        )
    if not python:
        return Greeting("", 0, timedelta(0), took)
    why = quoted(said.err) or quoted(said.out) or "nothing"
    return Unseen(
        f"{where} let {quoted(user)} in and started no Python (status {said.status}); it said: {why}",
        "log in and run the command by hand (docs/ssh.md)",
    )
