"""Certificates as the way in, with a real sshd: what it logs of them, what they may not do, why they are refused."""

import re
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import paramiko
import pytest
from sshd import fingerprint, keygen, sshd

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.visits import Announced, Parted
from driftd.edges.ssh import certificates
from driftd.edges.ssh.connect import connect
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import CertificateOptions, SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.edges.ssh.watcher import SshWatcher
from driftd.probe import sshlog

PRINCIPALS = "driftd\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sshd")
    ca = keygen(directory / "ca")
    extra = f"TrustedUserCAKeys {ca}.pub\nAuthorizedPrincipalsFile {directory}/principals\n"
    with sshd(directory, extra=extra) as server:
        yield server


@pytest.fixture
def way(server, tmp_path):
    (server.directory / "principals").write_text(PRINCIPALS)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    return Way(server, tmp_path / "tree")


class Way:
    def __init__(self, server, tree):
        self.server = server
        self.tree = tree
        self.made = CertificateOptions(str(server.directory / "ca"), principals=("driftd",))
        self.visit = Announced("5ca9", lambda: datetime.now(UTC))
        self.reach = Reach("127.0.0.1", server.port, "root", visit=self.visit)

    def options(self, **more):
        made = replace(self.made, **more)
        return SshOptions(certificate=made, known_hosts=(self.server.known_hosts,), agent=False, root=str(self.tree))

    def look(self, **more):
        self.before = len(self.server.log())
        return SshLooker(self.options(**more)).look(Instance("one", "", "", reach=self.reach), deadline_s=60)

    def logged(self, words):
        """Whether the server's log of this look has ``words``."""
        limit = time.monotonic() + 10
        while words not in self.server.log()[self.before :] and time.monotonic() < limit:
            time.sleep(0.02)
        return words in self.server.log()[self.before :]


def test_a_look_by_certificate_is_named_in_the_log(way):
    assert not isinstance(way.look(), Unseen)
    found = way.visit.trace.way
    assert found.certified
    assert way.visit.trace.parted is Parted.ORDERLY
    assert way.logged("ID driftd:5ca9 (serial")
    assert f"CA ED25519 {fingerprint(way.server.directory / 'ca')}" in way.server.log()
    line = next(line for line in way.server.log()[way.before :].splitlines() if line.startswith("Accepted publickey"))
    text = f"2026-11-22T10:00:00Z web-1 sshd[7]: {line}\n".encode()
    (login,) = sshlog.logins(sshlog.syslog_lines(text, time.time()), 0, b"log")
    assert (login.key_id, login.key, login.port) == (b"driftd:5ca9", found.key.encode(), found.port)


def test_every_visit_has_a_key_of_its_own(way):
    keys = set()
    for _ in range(2):
        once = Way(way.server, way.tree)
        assert not isinstance(once.look(), Unseen)
        keys.add(once.visit.trace.way.key)
    assert len(keys) == 2
    assert SshLooker(way.options()).own_key(Instance("one", "", "", reach=way.reach)) == ""


def test_it_starts_the_probe_and_nothing_else(way, tmp_path):
    with connect(way.reach, way.options(), Deadline(30)) as connection:
        channel = connection.open_channel()
        with pytest.raises(paramiko.SSHException):
            channel.get_pty()
        channel = connection.open_channel()
        channel.exec_command(f"touch {tmp_path}/done")
        channel.shutdown_write()
        channel.recv_exit_status()
        with pytest.raises(paramiko.SSHException):
            connection.transport.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 2), timeout=10)
    assert not (tmp_path / "done").exists()
    with connect(way.reach, way.options(forced=False), Deadline(30)) as connection:
        channel = connection.open_channel()
        channel.exec_command(f"touch {tmp_path}/done")
        channel.recv_exit_status()
    assert (tmp_path / "done").exists(), "which is what is to be seen above"


REFUSED = {
    "expired": ({}, -3600, PRINCIPALS, "Certificate invalid: expired", "the instance's clock"),
    "not-yet-valid": ({}, 3600, PRINCIPALS, "Certificate invalid: not yet valid", "the instance's clock"),
    "principal": ({"principals": ("web",)}, 0, PRINCIPALS, "principal", "the principals"),
    "source": ({"sources": ("192.0.2.0/24",)}, 0, PRINCIPALS, "not from a permitted source", "127.0.0.1, which"),
    "command": ({}, 0, 'command="/bin/true" driftd\n', "forced command options do not match", "another forced command"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_one_sentence_that_says_what_was_shown(way, case, monkeypatch):
    more, ahead, principals, logged, hint = REFUSED[case]
    (way.server.directory / "principals").write_text(principals)
    monkeypatch.setattr(certificates, "time", SimpleNamespace(time=lambda: time.time() + ahead))
    seen = way.look(**more)
    assert isinstance(seen, Unseen)
    assert way.logged(logged), way.server.log()[way.before :]
    sources = ", ".join(more.get("sources", ("127.0.0.1",)))
    names = ", ".join(more.get("principals", ("driftd",)))
    assert re.fullmatch(
        rf"127\.0\.0\.1 port \d+ refused the certificate driftd:5ca9 \(signed by SHA256:\S+; for {names}; "
        rf"from {sources}; good from [\d:]{{8}} to [\d:]{{8}} UTC\) for user root",
        seen.reason,
    )
    assert hint in seen.hint
    assert way.visit.trace.parted is Parted.REFUSED


def test_another_authority_is_refused(way, tmp_path):
    other = keygen(tmp_path / "other")
    seen = way.look(ca=str(other))
    assert fingerprint(other) in seen.reason
    assert "TrustedUserCAKeys" in seen.hint


def test_a_key_that_is_named_is_used_instead(way):
    way.reach = replace(way.reach, key_file=str(way.server.client_key))
    assert not isinstance(way.look(), Unseen)
    assert not way.visit.trace.way.certified
    looker = SshLooker(way.options())
    assert looker.own_key(Instance("one", "", "", reach=way.reach)) == fingerprint(way.server.client_key)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "does not exist"),
        ("readable", "can be read by others"),
        ("rsa", "is not an Ed25519 private key without a passphrase"),
        ("passphrase", "is not an Ed25519 private key without a passphrase"),
        ("public", "is not an Ed25519 private key without a passphrase"),
    ],
)
def test_a_ca_key_that_cannot_be_used_is_one_sentence(way, tmp_path, kind, said):
    ca = tmp_path / "ca"
    if kind != "missing":
        keygen(ca, "rsa" if kind == "rsa" else "ed25519", "a secret phrase" if kind == "passphrase" else "")
    if kind == "readable":
        ca.chmod(0o644)
    seen = way.look(ca=str(ca) + (".pub" if kind == "public" else ""))
    assert said in seen.reason
    assert "TrustedUserCAKeys" in seen.hint or "chmod 600" in seen.hint
    assert way.visit.trace.way is None


@pytest.mark.parametrize("kind", [SshLooker, SshWatcher])
def test_a_visit_by_certificate_is_announced_without_a_key_whatever_an_agent_holds(kind, monkeypatch, tmp_path):
    """The certificate's key is made for the visit; the agent's, which nobody shows, would name another."""
    monkeypatch.setattr(
        "driftd.edges.ssh.connect.identity", lambda *_: nullcontext(SimpleNamespace(fingerprint="SHA256:agent"))
    )
    instance = Instance("one", "", "")
    made = CertificateOptions(str(tmp_path / "ca"))
    assert kind(SshOptions(certificate=made)).own_key(instance) == ""
    assert kind(SshOptions()).own_key(instance) == "SHA256:agent"
    assert kind(SshOptions(certificate=made, key_file="key")).own_key(instance) == "SHA256:agent"
