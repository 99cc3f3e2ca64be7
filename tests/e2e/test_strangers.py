"""Somebody gets in on a real instance, by each way there is, and tries to look like driftd or like nobody."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
from evading import Suspect, baked, suspect
from servers import wait_until

from driftd.core.facts import Session
from driftd.core.findings import Verdict

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

LOG = "/var/log/auth.log"


@pytest.fixture(scope="module")
def other_key(tmp_path_factory) -> Path:
    key = tmp_path_factory.mktemp("other") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


@pytest.fixture(scope="module")
def server(golden_image, image_cache, login_key, other_key):
    """Lets both keys in, as root and as a user without a shell."""
    with suspect(golden_image, image_cache, login_key, baked(golden_image)) as found:
        public = other_key.with_suffix(".pub").read_text().strip()
        found.inside(
            f"echo '{public}' >>/root/.ssh/authorized_keys; mkdir -p /usr/games/.ssh; "
            "cp /root/.ssh/authorized_keys /usr/games/.ssh/; chown -R games /usr/games/.ssh"
        )
        yield found


def strangers(server: Suspect) -> list[Session]:
    look = server.look()
    kinds = {one.kind for one in look.judgement.findings}
    assert ("session" in kinds) == bool(look.others)
    return list(look.others)


def with_other_keys(server: Suspect) -> list[int]:
    """Ports of the strangers, less those with driftd's own key: which of these is one too many can change."""
    return [one.port for one in strangers(server) if one.key != server.visits[0].key]


def command(server: Suspect, key: Path, *flags: str, user: str = "root", words: tuple[str, ...] = ()) -> list[str]:
    ssh, *rest = server.deployment.ssh_command(server.server, key=key)
    return [ssh, *flags, *rest[:-1], f"{user}@{server.server.address}", *words]


def run(words: list[str], **more: object) -> None:
    done = subprocess.run(words, capture_output=True, timeout=30, stdin=subprocess.DEVNULL, check=False, **more)
    assert done.returncode == 0, done.stderr


def away_from_visits() -> None:
    """Until no visit of driftd's is near: within seconds of one, its own key is taken for a clock that is a bit off."""
    time.sleep(6)


def test_every_way_in_is_a_stranger(server, login_key, other_key):
    known = len(strangers(server))
    sftp = ["sftp", "-b", "/dev/null", *command(server, other_key)[1:]]
    for words in (
        command(server, other_key, words=("true",)),
        command(server, other_key, "-tt", words=("true",)),
        sftp,
    ):
        run(words)
        assert len(strangers(server)) == known + 1, words
        known += 1
    for user in ("root", "games"):
        with subprocess.Popen(command(server, other_key, "-N", user=user)) as client:
            # Let in once its first words were answered; a look in between would only see it half way.
            wait_until(lambda user=user: f"sshd: {user}\n".encode() in server.inside("ps ax -o args").stdout, "a login")
            seen = strangers(server)[-1]
            client.kill()
        assert (seen.live, seen.user) == (True, user)
        assert "process" in seen.evidence
        known += 1
    away_from_visits()
    run(command(server, login_key, words=("true",)))
    away_from_visits()
    assert len(strangers(server)) == known + 1, "driftd's own key outside of a visit"
    with subprocess.Popen(command(server, login_key, words=("sleep", "20"))) as client:
        wait_until(lambda: b"sleep" in server.inside("ps ax").stdout, "a login")
        assert len(strangers(server)) == known + 2, "driftd's own key beside a look: one visit explains one session"
        client.kill()


def forge(server: Suspect, tag: str, text: str) -> None:
    """Write a line to the log of logins as a user who may nothing."""
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    server.inside(f"{as_nobody} logger -p auth.info -t '{tag}' '{text}'")
    wait_until(lambda: text.encode() in server.inside(f"cat {LOG}").stdout, "the line")


def test_forged_lines_add_strangers_and_explain_none(server, other_key):
    run(command(server, other_key, words=("true",)))
    before = with_other_keys(server)
    assert before
    own = server.look().own[-1]
    accepted = re.findall(rb"sshd\[(\d+)\]: Accepted", server.inside(f"cat {LOG}").stdout)
    listener = server.inside("cat /run/sshd.pid").stdout.decode().strip()
    for pid in {number.decode() for number in accepted[-6:]}:
        # That the listener, or the first process, goes on in its place: both stand above every probe.
        for child in (listener, "1"):
            forge(server, f"sshd[{pid}]", f"User child is on pid {child}")
    assert with_other_keys(server) == before
    # Another login in driftd's name takes nothing from the strangers that there are.
    forge(server, "sshd[99999]", f"Accepted publickey for root from 192.0.2.1 port 7 ssh2: ED25519 {own.key}")
    assert with_other_keys(server) == before


def logged(server: Suspect) -> list[int]:
    """Those of whom a line tells: whom processes alone told of, nothing tells of after a restart."""
    return [port for port in with_other_keys(server) if port]


def test_a_restart_forgets_nobody(server, other_key):
    run(command(server, other_key, words=("true",)))
    before = logged(server)
    assert before
    time.sleep(3)  # a boot's own lines may be two seconds early
    compute = server.deployment.provider.compute
    compute.stop(server.server.id)
    compute.start(server.server.id)
    server.server = compute.describe(server.server.id)
    server.deployment.ready(server.server)
    assert logged(server) == before


def test_where_logins_are_not_logged_nothing_is_clean(golden_image, image_cache, login_key):
    with suspect(golden_image, image_cache, login_key, baked(golden_image)) as server:
        assert server.look().judgement.verdict is Verdict.EXPLAINED
        server.inside("pkill rsyslogd; while pgrep rsyslogd; do sleep 0.1; done")
        judgement = server.look().judgement
        assert judgement.verdict is Verdict.UNKNOWN
        assert "may lack others" in judgement.reason
        server.inside("rsyslogd; while ! [ -S /dev/log ]; do sleep 0.1; done")
        assert server.look().judgement.verdict is Verdict.EXPLAINED
