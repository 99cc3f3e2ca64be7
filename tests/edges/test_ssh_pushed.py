"""Keys that a provider has let in for a moment, with a real sshd that asks a command for them."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sshd import sshd

from driftd.core.errors import Refused, Throttled
from driftd.core.facts import Admission, Instance, Reach, Unseen
from driftd.core.visits import Announced, Parted
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import CertificateOptions, SshOptions
from driftd.edges.ssh.watcher import SshWatcher


@pytest.fixture(scope="module")
def server():
    # Every directory above the command has to be root's alone, which a test's own need not be.
    directory = Path("/run/driftd-test-pushed")
    directory.mkdir(mode=0o755)
    command = directory / "keys.sh"
    command.write_text(f'#!/bin/sh\ncat "{directory}/pushed.$1" 2>/dev/null\nexit 0\n')
    command.chmod(0o755)
    extra = f"AuthorizedKeysCommand {command} %u\nAuthorizedKeysCommandUser root\n"
    try:
        with sshd(directory / "sshd", extra=extra) as started:
            (directory / "sshd/authorized_keys").write_text("")
            yield started
    finally:
        for file in sorted(directory.rglob("*"), reverse=True):
            file.rmdir() if stat.S_ISDIR(file.lstat().st_mode) else file.unlink()
        directory.rmdir()


class Way:
    """A server whose keys are pushed, by somebody who can be told to do otherwise."""

    def __init__(self, server, tree):
        self.server = server
        self.pushed, self.lock = [], threading.Lock()
        self.kept = []
        self.otherwise = None
        self.tree = tree
        self.file = server.directory.parent / "pushed.root"
        self.file.write_text("")

    def push(self, key):
        with self.lock:
            self.pushed.append((key, [one.way.key for one in self.kept]))
            if self.otherwise is not None:
                self.otherwise(key)
                return
            with self.file.open("a") as file:
                file.write(f"{key}\n")

    def instance(self, visit=None, **more):
        admission = Admission("the test", "see the test", self.push)
        reach = Reach("127.0.0.1", self.server.port, "root", visit=visit, admission=admission, **more)
        return Instance("one", "", "", reach=reach)

    def options(self, **more):
        return SshOptions(known_hosts=(self.server.known_hosts,), agent=False, root=str(self.tree), **more)

    def visit(self):
        return Announced("5ca9", lambda: datetime.now(UTC), self.kept.append)


@pytest.fixture
def way(server, tmp_path):
    (tmp_path / "file").write_text("x")
    yield Way(server, tmp_path)
    (server.directory.parent / "pushed.root").unlink()


def test_a_key_is_made_for_the_look_and_let_in_once_the_store_knows_it(way):
    visit = way.visit()
    looker = SshLooker(way.options())
    assert looker.own_key(way.instance()) == ""
    assert not isinstance(looker.look(way.instance(visit), deadline_s=60), Unseen)
    trace = visit.trace
    assert (trace.way.pushed, trace.way.certified, trace.parted) == (True, False, Parted.ORDERLY)
    ((key, known),) = way.pushed
    assert len(key) == 80, "the shortest that EC2 Instance Connect takes, and without a comment"
    assert known == [trace.way.key]
    assert f"port {trace.way.port} ssh2: ED25519 {trace.way.key}" in way.server.log()


def test_every_connection_has_a_key_of_its_own_however_many_there_are_at_once(way):
    looker = SshLooker(way.options())
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: looker.look(way.instance(), deadline_s=60), range(16)))
    assert [one for one in seen if isinstance(one, Unseen)] == []
    assert len({key for key, _ in way.pushed}) == 16


def test_it_comes_before_a_key_and_a_certificate_that_are_for_all(way, tmp_path):
    options = way.options(key_file=str(tmp_path / "none"))
    assert not isinstance(SshLooker(options).look(way.instance(), deadline_s=60), Unseen)
    options = way.options(certificate=CertificateOptions(str(tmp_path / "none")))
    assert not isinstance(SshLooker(options).look(way.instance(), deadline_s=60), Unseen)


def test_a_watch_comes_by_one_too(way):
    heard = threading.Event()
    ended = SshWatcher(way.options()).watch(way.instance(), lambda _message: heard.set(), heard.is_set)
    assert heard.is_set(), ended
    assert len(way.pushed) == 1


def test_an_instance_that_does_not_ask_for_pushed_keys_is_told_as_that(way):
    way.otherwise = lambda _key: None
    visit = way.visit()
    seen = SshLooker(way.options()).look(way.instance(visit), deadline_s=60)
    assert seen == Unseen(
        f"127.0.0.1 port {way.server.port} refused the key for user root that the test had taken", "see the test"
    )
    assert (visit.trace.parted, visit.trace.entered_at) == (Parted.REFUSED, None)


@pytest.mark.parametrize("error", [Refused("no right", "add it"), Throttled("too often", "later")])
def test_a_provider_that_does_not_take_it_is_told_and_nobody_logs_in(way, error):
    def refuses(_key):
        raise error

    way.otherwise = refuses
    visit, before = way.visit(), way.server.log().count("Accepted")
    said = f"the test did not take a key for 127.0.0.1 port {way.server.port}: {error}"
    assert SshLooker(way.options()).look(way.instance(visit), deadline_s=60) == Unseen(said, error.hint)
    assert SshWatcher(way.options()).watch(way.instance(), lambda _message: None, lambda: False) == Unseen(
        said, error.hint
    )
    assert visit.trace.parted is Parted.REFUSED
    assert way.server.log().count("Accepted") == before


def test_no_key_is_pushed_to_a_server_that_is_not_the_one_that_is_known(way, tmp_path):
    other = tmp_path / "known"
    other.write_text("")
    options = SshOptions(known_hosts=(other,), agent=False, root=str(way.tree))
    seen = SshLooker(options).look(way.instance(), deadline_s=60)
    assert "is unknown" in seen.reason
    assert way.pushed == []
