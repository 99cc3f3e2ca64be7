"""The probe on a real server: streamed over SSH to an instance of the local provider."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from asking import NONCE, read
from servers import wait_until

from driftd.core.fingerprint import Fingerprint
from driftd.edges.providers.local.tools import owns_machine
from driftd.probe import bundle, wire

pytestmark = pytest.mark.servers
SECTIONS = (b"facts", b"sessions")


def look(deployment, instance) -> Fingerprint:
    words = ["python3", *bundle.ARGUMENTS[:-1], f"'{bundle.BOOT}'"]
    run = subprocess.run(
        deployment.ssh_command(instance, *words),
        input=bundle.program() + wire.encode_request(NONCE, sections=SECTIONS),
        capture_output=True,
        check=True,
    )
    return read(run.stdout, SECTIONS)


def times(upper: Path) -> dict[Path, tuple[int, ...]]:
    found = {path: path.lstat() for path in sorted(upper.rglob("*"))}
    return {
        path: (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns, st.st_mode, st.st_size)
        for path, st in found.items()
        if not path.is_dir()  # listing them here moves their own
    }


def test_every_login_to_a_real_server_is_one_session(local_deployment):
    server = local_deployment.launch()
    pristine = look(local_deployment, server)
    assert [(s.user, s.ancestor, s.live) for s in pristine.sessions] == [("root", True, True)]
    assert {one.kind for one in pristine.kept} <= {
        "binfmt",
        *([] if owns_machine() else ["sysctl"]),
    }  # of the kernel that all share
    assert pristine.covered == pristine.unreadable == ()
    assert pristine.booted_at is not None
    assert pristine.booted_at <= pristine.sessions[0].started_at

    local_deployment.ssh(server, "echo changed >/etc/motd")
    typed = local_deployment.ssh_command(server)
    typed.insert(1, "-tt")
    with subprocess.Popen(typed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as terminal:
        terminal.stdin.write(b"echo rea''dy\n")
        terminal.stdin.flush()
        said = b""
        deadline = time.monotonic() + 20
        while b"ready" not in said and time.monotonic() < deadline:
            said += os.read(terminal.stdout.fileno(), 4096)
        seen = look(local_deployment, server)
        terminal.stdin.close()
        terminal.kill()

    assert len(seen.sessions) == 4
    first, edit, typing, own = seen.sessions
    assert first.started_at == pristine.sessions[0].started_at
    assert (edit.live, edit.ancestor, edit.ended_at is not None) == (False, False, True)
    assert (typing.live, typing.ancestor, typing.tty) == (True, False, "pts/0")
    assert "process" in typing.evidence
    assert "log" in typing.evidence
    assert "wtmp" in typing.evidence
    assert own.ancestor
    assert len({s.key for s in seen.sessions}) == 1
    assert edit.key.startswith("SHA256:")
    assert len({(s.source, s.port) for s in seen.sessions}) == 4
    assert seen.boot_id == pristine.boot_id

    changed = {e.path for e in set(seen.entries) ^ set(pristine.entries)}
    logs = {path for path in changed if path.startswith(b"/var/log/")}
    assert changed - logs == {b"/etc/motd"}


def test_looking_at_a_real_server_touches_only_its_logs(local_deployment):
    server = local_deployment.launch()
    look(local_deployment, server)  # what a first login makes, it has made
    upper = local_deployment.upper(server)
    before = wait_until(lambda: (now := times(upper)) == times(upper) and now, "a still tree")
    look(local_deployment, server)
    after = times(upper)
    moved = {path.relative_to(upper) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {str(path) for path in moved} <= {"var/log/auth.log", "var/log/syslog", "var/log/lastlog", "var/log/wtmp"}


def test_two_real_servers_of_one_image_differ_only_in_what_each_start_makes(local_deployment):
    one, two = (look(local_deployment, local_deployment.launch(slot)) for slot in ("web/0", "web/1"))
    changed = {e.path for e in set(one.entries) ^ set(two.entries)}
    own = (b"/etc/ssh/ssh_host_", b"/var/log/", b"/etc/host", b"/etc/machine-id")
    assert {path for path in changed if not path.startswith(own)} == set()
    lasting = [{fact for fact in seen.facts if fact.kind != "hostkey"} for seen in (one, two)]
    assert lasting[0] == lasting[1]
    assert one.facts
    assert one.boot_id != two.boot_id
