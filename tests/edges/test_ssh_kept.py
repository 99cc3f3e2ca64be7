"""Over a real sshd: a connection that stays open serves the next look and nobody else; what ended it costs nothing."""

import contextlib
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from leavings import no_threads
from servers import wait_until
from sshd import ME

from driftd.core.facts import Instance, Reach
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.interned import Interned
from driftd.core.visits import Announced
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh import kept
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

pytestmark = [pytest.mark.machine, pytest.mark.servers]


def children(server):
    """The processes of its sshd, whose lines of command are what is served."""
    said = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [(int(pid), int(above), args) for pid, above, args in (line.split(None, 2) for line in said)]
    below, found = {server.process.pid}, {}
    for pid, above, args in sorted(rows):
        if above in below:
            below.add(pid)
            found[pid] = args
    return found


def probes(server):
    return [pid for pid, args in children(server).items() if "python" in args]


class Seen:
    """Looks as the daemon's: with a visit, which is the standing one's where there is one."""

    def __init__(self, server, root, cache):
        self.server, self.root = server, root
        self.instance = Instance("i-1", "web", "img", reach=Reach("127.0.0.1", server.port, ME, str(server.client_key)))
        self.options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(root))
        self.stats, self.seconds = [], 60.0
        self.looker = SshLooker(
            self.options,
            lambda _, stats: self.stats.append(stats),
            RecollectionDirectory(cache, 1 << 30),
            worth=lambda _: self.seconds,
        )
        self.image = Interned(self.whole().entries)

    def whole(self):
        return SshLooker(self.options).look(self.instance, deadline_s=60)

    def reached(self, instance=None):
        """The instance, by the visit that is standing or a new one."""
        one = instance or self.instance
        visit = self.looker.standing(one) or Announced(os.urandom(8).hex(), lambda: datetime.now(UTC))
        return replace(one, reach=replace(one.reach, visit=visit))

    def look(self, instance=None, deadline_s=60):
        return self.looker.look(self.reached(instance), deadline_s=deadline_s, image=self.image)

    def glance(self):
        seen, whole = self.look(), self.whole()
        assert isinstance(seen, Fingerprint), seen
        assert (seen.entries, seen.root, seen.facts) == (whole.entries, whole.root, whole.facts)
        return seen

    def alone(self):
        """Nobody of driftd's is there any more."""
        wait_until(lambda: not children(self.server), "the end of its sessions", 60)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("kept")
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    for number in range(20):
        (root / f"{number}").write_text(f"{number}")
    time.sleep(2.1)  # what changed just now is read again the next time
    return root


@pytest.fixture
def seen(server, root, tmp_path):
    made = Seen(server, root, tmp_path / "looks")
    yield made
    made.looker.stop()
    made.alone()


def test_later_looks_go_over_the_first_ones_connection_and_see_what_changed(seen):
    assert seen.glance().extent is Extent.WHOLE
    assert seen.glance().extent is Extent.SAME
    (seen.root / "3").write_text("another")
    assert seen.glance().extent is Extent.CHANGES
    (seen.root / "etc/passwd").write_text("root:x:0:1::/root:/bin/sh\n")
    assert seen.glance().extent is Extent.CHANGES
    time.sleep(2.1)
    seen.glance()
    assert seen.glance().extent is Extent.SAME
    assert [one.kept for one in seen.stats] == [False, True, True, True, True, True]
    assert seen.stats[-1].sent + seen.stats[-1].received < 3000
    assert seen.stats[0].connect_s > 0 == seen.stats[-1].connect_s
    assert len(probes(seen.server)) == 1


def test_what_is_kept_is_one_visit_by_the_same_port(seen):
    first = seen.reached()
    seen.looker.look(first, deadline_s=60, image=seen.image)
    way = first.reach.visit.trace
    second = seen.reached()
    seen.looker.look(second, deadline_s=60, image=seen.image)
    assert second.reach.visit.trace == way
    assert way.way.port > 0


@pytest.mark.parametrize("who", ["the probe", "its sshd", "the server"])
def test_what_ended_meanwhile_is_found_before_it_is_used(seen, who):
    seen.glance()
    ended = {pid for pid, args in children(seen.server).items() if ("python" in args) is (who == "the probe")}
    for pid in ended:
        with contextlib.suppress(ProcessLookupError):  # one ends with another
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not ended & children(seen.server).keys(), "their end", 60)
    if who == "the server":
        seen.server.restart()
    assert seen.glance().extent is Extent.SAME
    assert [one.kept for one in seen.stats] == [False, False]


def test_what_was_said_unasked_is_not_taken_for_an_answer(seen):
    """Somebody there writes into what the probe answers by."""
    seen.glance()
    (probe,) = probes(seen.server)
    Path(f"/proc/{probe}/fd/1").write_bytes(b"anything")
    assert seen.glance().extent is Extent.SAME
    assert [one.kept for one in seen.stats] == [False, False]


def test_one_that_hangs_is_given_up_by_the_looks_deadline_and_the_next_connects_anew(seen):
    seen.glance()
    (probe,) = probes(seen.server)
    os.kill(probe, signal.SIGSTOP)
    began = time.monotonic()
    assert "did not end within 2 s" in seen.look(deadline_s=2).reason
    assert time.monotonic() - began < 10
    assert seen.glance().extent is Extent.WHOLE
    assert [one.kept for one in seen.stats] == [False, True, False]
    os.kill(probe, signal.SIGKILL)


def send(what, pids):
    """Those of the other look may be ending just now."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def test_a_far_end_that_is_silent_is_waited_for_no_longer_than_is_said(seen, monkeypatch):
    seen.glance()
    monkeypatch.setattr(kept, "PATIENCE_S", 0.5)
    stopped = [pid for pid, args in children(seen.server).items() if "python" not in args]
    send(signal.SIGSTOP, stopped)
    try:
        began = time.monotonic()
        assert seen.looker.standing(seen.instance) is None
        assert 0.5 <= time.monotonic() - began < 4.5, "less than the five seconds that are the rule"
    finally:
        send(signal.SIGCONT, stopped)


def test_a_look_may_take_its_time_to_begin(seen, monkeypatch):
    """What is asked of the store in between may take longer than the far end may."""
    seen.glance()
    monkeypatch.setattr(kept, "PATIENCE_S", 0.3)
    there = seen.reached()
    time.sleep(0.8)
    assert seen.looker.look(there, deadline_s=60, image=seen.image).extent is Extent.SAME
    assert seen.stats[-1].kept


def test_a_visit_is_one_connection(seen):
    """One that is gone between asking and looking is not replaced by another with the same name."""
    seen.glance()
    there = seen.reached()
    trace = there.reach.visit.trace
    seen.looker._kept.close()
    assert "that was kept is gone" in seen.looker.look(there, deadline_s=60, image=seen.image).reason
    assert there.reach.visit.trace == trace


def test_closing_is_as_deep_after_many_looks_as_after_one(seen, server, root, tmp_path):
    other = Seen(server, root, tmp_path / "other")
    other.look()
    other.looker.stop()  # what that imports is imported, which is deep too
    for _ in range(100):
        assert isinstance(seen.look(), Fingerprint)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 90)
    try:
        seen.looker.stop()
    finally:
        sys.setrecursionlimit(limit)
    seen.alone()


@pytest.mark.parametrize("what", ["the account's key", "made anew", "not worth it", "too late", "too old"])
def test_it_serves_nobody_else_and_not_for_ever(seen, what, monkeypatch):
    other = seen.instance
    if what == "too late":
        monkeypatch.setattr(kept, "SLACK_S", -60.0)
    elif what == "too old":
        monkeypatch.setattr(kept, "AGE_S", 0.0)
    seen.glance()
    if what == "the account's key":
        key = Path(f"{seen.server.client_key}-too")
        key.write_bytes(seen.server.client_key.read_bytes())
        key.chmod(0o600)
        other = replace(other, reach=replace(other.reach, key_file=str(key)))
    elif what == "made anew":
        other = replace(other, launched_at=datetime.now(UTC))
    elif what == "not worth it":
        seen.seconds = 0.0
    assert isinstance(seen.look(other), Fingerprint)
    assert [one.kept for one in seen.stats] == [False, False]


def test_an_ad_hoc_look_keeps_none_and_takes_none(seen):
    seen.glance()
    for _ in range(2):
        seen.looker.look(seen.instance, deadline_s=60, image=seen.image)
    assert [one.kept for one in seen.stats] == [False, False, False]
    assert seen.glance().extent is Extent.SAME
    assert seen.stats[-1].kept


def test_two_looks_at_once_do_not_share_one(seen):
    seen.glance()
    both = [seen.reached(), seen.reached()]
    assert both[0].reach.visit.trace.way is not None
    assert both[1].reach.visit.trace.way is None
    found = []

    def look(one):
        found.append(seen.looker.look(one, deadline_s=60, image=seen.image))

    threads = [threading.Thread(target=look, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.extent for one in found] == [Extent.SAME, Extent.SAME]
    assert sorted(one.kept for one in seen.stats) == [False, False, True]
    wait_until(lambda: len(probes(seen.server)) == 1, "the end of the other's", 60)


def test_so_many_are_kept_and_the_one_used_longest_ago_is_closed(seen, tmp_path):
    seen.looker = SshLooker(
        seen.options, None, RecollectionDirectory(tmp_path / "other", 1 << 30), worth=lambda _: 60.0
    )
    seen.looker._kept._most = 3
    many = [replace(seen.instance, id=f"i-{number}") for number in range(5)]
    for one in many:
        seen.look(one)
    wait_until(lambda: len(probes(seen.server)) == 3, "the end of two", 60)
    assert [seen.looker.standing(one) is not None for one in many] == [False, False, True, True, True]


def test_stopping_closes_them_and_nothing_is_left_there_or_here(seen):
    before = set(threading.enumerate())
    with no_threads(60):
        seen.glance()
        assert len(set(threading.enumerate()) - before) == 1
        began = time.monotonic()
        seen.looker.stop()
        assert time.monotonic() - began < 1.0
    seen.alone()
