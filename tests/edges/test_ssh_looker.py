"""Looking over SSH at a real sshd, behind which an instance does what it likes."""

import dataclasses
import sys
import threading
import time
from pathlib import Path

import pytest
from leavings import no_threads
from sshd import ME, fingerprint

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

pytestmark = [pytest.mark.machine, pytest.mark.servers]

PATHS = [b"/", b"/etc", b"/etc/secret"]
HOSTILE = Path(__file__).with_name("hostile_probe.py")


def paths(seen):
    assert isinstance(seen, Fingerprint), seen
    return [entry.path for entry in seen.entries]


def small_tree(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "secret").write_text("for root alone")
    (root / "etc" / "secret").chmod(0o600)
    return str(root)


class Way:
    """A looker at ``server``, whose account runs what ``forced`` says."""

    def __init__(self, server, user=ME):
        self.server = server
        self.instance = Instance(
            "i-1", "web", "img", reach=Reach("127.0.0.1", server.port, user, str(server.client_key))
        )
        self.root = "/"
        self.stats = []

    def force(self, command):
        public = Path(f"{self.server.client_key}.pub").read_text()
        prefix = f'restrict,command="{command}" ' if command else ""
        (self.server.directory / "authorized_keys").write_text(prefix + public)

    def look(self, deadline_s=10.0, **more):
        options = SshOptions(known_hosts=(self.server.known_hosts,), agent=False, root=self.root, **more)
        looker = SshLooker(options, measured=lambda instance, stats: self.stats.append((instance, stats)))
        began = time.monotonic()
        seen = looker.look(self.instance, deadline_s=deadline_s)
        assert time.monotonic() - began < deadline_s + 1
        if isinstance(seen, Unseen):
            assert seen.reason.isprintable()
            assert "\n" not in seen.hint
            assert seen.hint
        return seen


@pytest.fixture
def way(server, tmp_path):
    way = Way(server)
    way.root = small_tree(tmp_path)
    with no_threads():
        yield way
    way.force("")


def pretend(way, mode):
    way.force(f"{sys.executable} {HOSTILE} {mode}")


def test_a_whole_answer_is_seen_and_its_cost_told(way):
    pretend(way, "honest")
    assert paths(way.look()) == PATHS
    ((instance, stats),) = way.stats
    assert instance == way.instance
    assert stats.cipher == "aes128-gcm@openssh.com"
    assert stats.sent > 5000
    assert 1500 < stats.received < 10_000
    assert 0 < stats.connect_s < stats.total_s
    assert 0 < stats.auth_s < stats.total_s


def test_a_login_shells_greeting_before_the_answer_is_passed_over(way):
    pretend(way, "motd")
    assert paths(way.look()) == PATHS


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("garbage", "no answer of a probe in the first"),
        ("endless", "no answer of a probe in the first"),
        ("endless-frames", "it is longer than 1048576 bytes"),
        ("endless-stderr", "it is longer than 1048576 bytes"),
        ("drip", "did not end within 1 s"),
        ("silent", "did not end within 1 s"),
        ("stays", "did not end within 1 s"),
        ("huge-frame", "frame of 4294967295 bytes is over the limit"),
        ("much-motd", "no answer of a probe in the first"),
        ("other-nonce", "not to this question"),
        ("half", "ended with status 0: the answer was cut off after"),
        ("nologin", "no probe answered; instead there came: This account is currently not available."),
        ("killed", "ended without a status, as when it is killed: the answer was cut off"),
        ("after-the-end", "bytes after the trailer"),
        ("later", "more came after its end"),
        ("failed", r"the probe stopped: the disk"),
        ("bad-status", "ended with status 7"),
        (
            "complaint",
            r"ended with status 3 after 0 bytes of answer; it said: \x1b[31mTraceback <b>\xff",
        ),
    ],
)
def test_what_is_no_whole_answer_is_unseen_with_its_sentence(way, mode, said):
    pretend(way, mode)
    seen = way.look(1.0 if "1 s" in said else 10.0, output_limit=1024 * 1024)
    assert isinstance(seen, Unseen)
    assert said in seen.reason


def test_connecting_that_fails_is_unseen_too(way):
    way.instance = dataclasses.replace(way.instance, reach=dataclasses.replace(way.instance.reach, key_file="/none"))
    seen = way.look()
    assert isinstance(seen, Unseen)
    assert "/none does not exist" in seen.reason
    assert way.stats[0][1].total_s == 0.0


def test_the_own_key_is_the_one_that_sshd_logs(way):
    options = SshOptions(agent=False)
    assert SshLooker(options).own_key(way.instance) == fingerprint(way.server.client_key)
    nobody = dataclasses.replace(way.instance, reach=Reach("127.0.0.1", key_file="/none"))
    assert SshLooker(options).own_key(nobody) == ""


def test_many_looks_at_once_do_not_meet(way):
    pretend(way, "honest")
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(paths(way.look(30.0)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert seen == [PATHS] * 8
    assert len(way.stats) == 8


def test_a_stop_ends_the_looks_that_are_under_way_and_lets_none_begin(way):
    way.force("sleep 60")
    looker = SshLooker(SshOptions(known_hosts=(way.server.known_hosts,), agent=False))
    seen = []
    look = threading.Thread(target=lambda: seen.append(looker.look(way.instance, deadline_s=50.0)))
    look.start()
    time.sleep(0.5)
    assert look.is_alive()
    looker.stop()
    look.join(5)
    assert not look.is_alive()
    began = time.monotonic()
    seen.append(looker.look(way.instance, deadline_s=50.0))
    assert time.monotonic() - began < 5
    assert [type(one) for one in seen] == [Unseen, Unseen]
