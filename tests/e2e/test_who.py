"""The matrix: every kind of way in by live, ended between two looks, its traces wiped, on a real local instance.

Its log is a file, as without systemd; test_vm_systemd.py has the cells of a journal and of a kernel of its own.
What the last test does not find is named in docs/threat-model.md ("Blind spots"), with what closes it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from evading import Suspect, baked, suspect
from servers import wait_until

from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.looks import Look

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

LOGS = "/var/log/auth.log /var/log/wtmp"
# What each says when it is in (as ps shows it there), the words before the host and those after it.
WAYS = {
    "interactive": ("sshd: root@pts", ["-tt"], ["cat"]),
    "command": ("line_301", [], ["read line_301"]),
    "transfer": ("sftp-server", ["-s"], ["sftp"]),
    "forward": ("sshd: games$", ["-N"], []),
}


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("who") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


@pytest.fixture(scope="module")
def server(golden_image, image_cache, login_key, other_key) -> Iterator[Suspect]:
    with suspect(golden_image, image_cache, login_key, baked(golden_image)) as found:
        public = other_key.with_suffix(".pub").read_text().strip()
        found.inside(
            f"echo '{public}' >>/root/.ssh/authorized_keys; mkdir -p /usr/games/.ssh; "
            "cp /root/.ssh/authorized_keys /usr/games/.ssh/; chown -R games /usr/games/.ssh"
        )
        yield found


def words(server: Suspect, key: Path, way: str) -> list[str]:
    _, flags, after = WAYS[way]
    ssh, *rest = server.deployment.ssh_command(server.server, key=key)
    user = (
        "games" if way == "forward" else "root"
    )  # of root's no process tells a forward from one who is just coming in
    return [ssh, *flags, *rest[:-1], f"{user}@{server.server.address}", *after]


@contextmanager
def there(server: Suspect, arguments: list[str], sign: str) -> Iterator[None]:
    """Somebody who is there until the block ends, and whom then nothing of is left."""

    def seen() -> bool:
        return server.inside(f"ps ax -o args | grep -v grep | grep -c '{sign}' || :").stdout.strip() != b"0"

    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as one:
        try:
            wait_until(seen, sign)
            yield
        finally:
            assert one.stdin
            one.stdin.close()  # what nsenter began outlives it
            one.kill()
    wait_until(lambda: not seen(), f"no {sign}")


def everybody(server: Suspect, key: Path) -> ExitStack:
    """All kinds at once, and one who came in from outside."""
    stack = ExitStack()
    for way, (sign, _, _) in WAYS.items():
        stack.enter_context(there(server, words(server, key, way), sign))
    stack.enter_context(there(server, [*server.enter(), "sh", "-c", "read line_302"], "line_302"))
    return stack


def kinds(sessions: list[Session]) -> set[tuple[str, str, str]]:
    return {(one.door, one.kind, one.confidence) for one in sessions}


def news(look: Look, before: Look) -> list[Session]:
    known = {(one.door, one.port, one.pid, one.started_at) for one in before.others}
    return [one for one in look.others if (one.door, one.port, one.pid, one.started_at) not in known]


def test_live_and_ended(server, other_key) -> None:
    first = server.look()
    assert first.others == ()
    with everybody(server, other_key):
        live = server.look()
        assert kinds(news(live, first)) == {("ssh", way, "proved") for way in WAYS} | {("exec", "", "proved")}
        assert all(one.live for one in live.others)
    with everybody(server, other_key):
        pass
    ended = server.look()
    # Those of before, and the same of whom no look saw anything: a terminal is in wtmp, and root alone writes that.
    worth = dict.fromkeys(WAYS, "unverified") | {"interactive": "supported"}
    assert kinds(list(ended.others)) == {("ssh", way, worth[way]) for way in WAYS}
    assert len(ended.others) == 2 * len(WAYS)
    assert all(one.ended_at and not one.live for one in ended.others)
    assert all(finding.kind != "session" or finding.change is Change.ADDED for finding in ended.judgement.findings)


def test_wiped(server, other_key) -> None:
    before = server.look()
    server.inside(f"for one in {LOGS}; do cp -p $one $one.kept; done")
    with everybody(server, other_key):
        pass
    left = "setsid sleep 303 </dev/null >/dev/null 2>&1 &"
    subprocess.run([*words(server, other_key, "command")[:-1], left], check=True, timeout=30)
    # Exactly their own lines: what driftd's earlier visits left stays.
    server.inside(f"for one in {LOGS}; do cat $one.kept >$one; rm $one.kept; done")
    found = server.look()
    told = {(one.kind, one.evidence, one.confidence) for one in news(found, before)}
    # A terminal is in lastlog, and what runs has the kernel's number. The others are blind spots without a kernel of
    # one's own (command, transfer, forward) or a watch (exec).
    assert told == {("interactive", "lastlog", "supported"), ("", "sweep", "proved")}
    gone = [one for one in found.judgement.findings if one.kind == "session" and one.change is Change.REMOVED]
    assert {one.expected["evidence"] for one in gone} == {"lastlog"}, "the log covers the time and has no line"


def test_forged(server) -> None:
    """A line accuses nobody by itself, however much it says; and no name breaks what reads it."""
    before = server.look()
    accepted = "Accepted publickey for {} from 192.0.2.9 port 7 ssh2: ED25519 SHA256:" + "A" * 43
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups logger -p auth.info"
    inside = accepted.format("alice")
    for line in (inside, f"Invalid user {inside} from 192.0.2.8 port 9", accepted.format("bob from 10.0.0.1 port 1")):
        server.inside(f"{as_nobody} -t 'sshd[4242]' '{line}'")
    wait_until(lambda: b"bob from" in server.inside("cat /var/log/auth.log").stdout, "the lines")
    found = news(server.look(), before)
    assert {(one.user, one.confidence) for one in found} == {
        ("alice", "unverified"),
        ("bob from 10.0.0.1 port 1", "unverified"),
    }
