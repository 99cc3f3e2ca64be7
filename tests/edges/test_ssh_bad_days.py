"""Looks over real SSH at hosts that die, repeat themselves, never end, or live in another year."""

import contextlib
import random
import select
import socket
import struct
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sshd import ME, fingerprint, sshd
from test_ssh_looker import HOSTILE, PATHS, Way, paths, pretend, small_tree

from driftd.core import manifest
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.findings import Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.edges.documents import load_policy
from driftd.edges.local import LocalLooker
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules, audit

pytestmark = [pytest.mark.machine, pytest.mark.servers]

YEARS = 10 * 365 * 86400


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="driftd-ssh-") as directory, sshd(Path(directory) / "sshd") as running:
        Path(directory).chmod(0o755)
        yield running


@pytest.fixture
def way(server, tmp_path):
    way = Way(server)
    way.root = small_tree(tmp_path)
    yield way
    way.force("")


class Cable:
    """Between driftd and sshd: passes on so many bytes of what the server says, and then does what ``end`` says."""

    def __init__(self, port, after, end):
        self.passed, self.after, self.end = 0, after, end
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.far = socket.create_connection(("127.0.0.1", port))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with self.listener, self.far, contextlib.suppress(OSError):
            near, _ = self.listener.accept()
            with near:
                while self.passed < self.after and self.carry(near):
                    pass
                if self.end == "silence":
                    self.over.wait(20)
                elif self.end == "reset":
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def carry(self, near):
        """One piece, either way; False when a side is gone."""
        ready, _, _ = select.select([near, self.far], [], [], 20)
        for side in ready:
            data = side.recv(min(4096, self.after - self.passed) if side is self.far else 4096)
            (near if side is self.far else self.far).sendall(data)
            self.passed += len(data) * (side is self.far)
            if not data:
                return False
        return bool(ready)

    def close(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


def looked(way, server, after, end, deadline_s):
    cable = Cable(server.port, after, end)
    reach = Reach("127.0.0.1", cable.port, ME, str(server.client_key), (server.line(),))
    began = time.monotonic()
    try:
        seen = SshLooker(SshOptions(known_hosts=(), agent=False, root=way.root)).look(
            Instance("i-1", "web", "img", reach=reach), deadline_s=deadline_s
        )
    finally:
        took = time.monotonic() - began
        cable.close()
    assert took < deadline_s + 2
    return seen, cable.passed


def test_a_host_that_dies_at_any_byte_is_unseen_with_a_sentence(way, server):
    whole, length = looked(way, server, 1 << 30, "close", 30)
    assert paths(whole) == PATHS
    chance = random.Random(1)
    said = set()
    # From the first word to the last of the answer; behind that only the farewell is left, and it may be missed.
    for number in range(14):
        after = chance.randrange(1, length - 400)
        seen, _ = looked(way, server, after, ["close", "reset"][number % 2], 30)
        assert isinstance(seen, Unseen), after
        assert seen.reason.isprintable()
        assert seen.hint
        said.add(seen.reason)
    assert len(said) > 2


def test_a_line_that_falls_silent_is_waited_for_no_longer_than_the_deadline(way, server):
    _, length = looked(way, server, 1 << 30, "close", 30)
    for after in (length // 2, length - 500):
        seen, _ = looked(way, server, after, "silence", 2)
        assert isinstance(seen, Unseen)
        assert "within 2 s" in seen.reason


def test_an_answer_that_is_played_again_is_not_to_this_question(way, tmp_path):
    way.force(f"{sys.executable} {HOSTILE} replay {tmp_path}/record")
    assert paths(way.look()) == PATHS
    (Path(way.root) / "etc/secret").write_text("drift that the record does not have")
    for _ in range(2):
        seen = way.look()
        assert isinstance(seen, Unseen)
        assert "not to this question" in seen.reason


def test_nor_is_that_of_another_instance(way, server, tmp_path):
    way.force(f"{sys.executable} {HOSTILE} replay {tmp_path}/record")
    first = way.look()
    other = Way(server)
    other.root = way.root
    assert isinstance(first, Fingerprint)
    assert isinstance(other.look(), Unseen)


def test_good_frames_without_end_are_ended_by_the_deadline(way):
    pretend(way, "drip-frames")
    seen = way.look(1.5)
    assert isinstance(seen, Unseen)
    assert "did not end within" in seen.reason


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launched", [True, False])
@pytest.mark.parametrize("off", [0, YEARS, -YEARS, -3 * YEARS, 100 * YEARS, -1000 * YEARS])
def test_a_clock_that_is_years_off_changes_nothing_about_who_was_there(way, server, off, launched):
    own = fingerprint(server.client_key)
    way.force(f"{sys.executable} {HOSTILE} clock {off} {own} SHA256:somebody {way.root}")
    image = Instance("image", "", "img", reach=Reach(root=way.root))
    baked = manifest.from_fingerprint(LocalLooker().look(image, deadline_s=30), "img", provisional=False)
    since = datetime.now(UTC) - timedelta(hours=1) if launched else None
    instance = Instance("i-1", "web", "img", reach=way.instance.reach, launched_at=since)
    looker = SshLooker(SshOptions(known_hosts=(server.known_hosts,), agent=False))

    class Manifests:
        def for_image(self, image):
            return baked

    look = audit(instance, looker, Manifests(), Rules(load_policy(["sessions"])), tuple, lambda: datetime.now(UTC))
    assert [one.key for one in look.own] == [own], look.judgement
    assert [one.key for one in look.others] == ["SHA256:somebody"]
    assert look.judgement.verdict is Verdict.DRIFTED
    (finding,) = look.judgement.findings
    assert finding.kind == "session"
