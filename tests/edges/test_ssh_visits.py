"""What a visit tells of its own connection, held against what a real sshd logs of it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sshd import fingerprint, keygen, sshd

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.memory import StoreUnavailable
from driftd.core.visits import Announced, Parted
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

ACCEPTED = re.compile(r"Accepted publickey for (\S+) from (\S+) port (\d+) ssh2: ED25519(?:-CERT)? (\S+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    (root / "file").write_text("x")
    return root


class Visiting:
    """One announced look; ``kept`` is what was kept of it before the login."""

    def __init__(self, server, tree, *, key=None, **options):
        self.kept = []
        self.announced = Announced("5ca9", lambda: datetime.now(UTC), self._keep)
        self.server = server
        reach = Reach("127.0.0.1", server.port, "root", str(key or server.client_key), visit=self.announced)
        self.instance = Instance("one", "", "", reach=reach)
        self.logged_before = None
        options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(tree), **options)
        self.seen = SshLooker(options).look(self.instance, deadline_s=60)
        self.trace = self.announced.trace

    def _keep(self, trace):
        self.logged_before = f"port {trace.way.port} ssh2" in self.server.log()
        self.kept.append(trace)

    def accepted(self):
        """(user, source, port, key) of the line that the server logged of this very connection."""
        found = [one for one in ACCEPTED.findall(self.server.log()) if int(one[2]) == self.trace.way.port]
        return found[-1] if found else None


def test_a_visit_tells_the_port_that_sshd_logs_and_before_the_login(server, tree):
    visiting = Visiting(server, tree)
    assert not isinstance(visiting.seen, Unseen)
    way, trace = visiting.trace.way, visiting.trace
    assert visiting.accepted() == ("root", way.source, str(way.port), way.key)
    assert way.key == fingerprint(server.client_key)
    assert not way.certified
    assert visiting.logged_before is False
    assert visiting.kept == [replace(trace, entered_at=None, parted_at=None, parted=Parted.OPEN)]
    assert trace.came_at <= trace.entered_at <= trace.parted_at <= trace.came_at + timedelta(minutes=1)
    assert trace.parted is Parted.ORDERLY


def test_a_login_that_was_refused_is_told_as_that(server, tree, tmp_path):
    visiting = Visiting(server, tree, key=keygen(tmp_path / "stranger"))
    assert isinstance(visiting.seen, Unseen)
    assert visiting.trace.parted is Parted.REFUSED
    assert visiting.trace.entered_at is None
    assert visiting.accepted() is None


def test_a_server_that_is_not_the_one_that_is_known_is_told_nothing(server, tree, tmp_path):
    with sshd(tmp_path / "other") as other:
        other.known_hosts.write_text(f"[127.0.0.1]:{other.port} {server.line()}\n")
        visiting = Visiting(other, tree)
    assert isinstance(visiting.seen, Unseen)
    assert visiting.trace.way is None, "nobody tried to log in"


def test_a_store_that_cannot_keep_it_lets_nobody_in(server, tree):
    class Full(Visiting):
        def _keep(self, trace):
            self.kept.append(trace)
            raise StoreUnavailable("The store is full.", "Make room.")

    visiting = Full(server, tree)
    assert "The store is full." in visiting.seen.reason
    assert visiting.trace.entered_at is None
    assert visiting.accepted() is None
