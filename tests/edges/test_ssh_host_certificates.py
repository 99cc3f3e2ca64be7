"""Certificates of hosts: a real sshd shows one, and known_hosts names the authority (@cert-authority)."""

import base64
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshd import keygen, sshd

from driftd.core.facts import Instance, Reach, Unseen
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.greeting import knock
from driftd.edges.ssh.hostcertificates import refused
from driftd.edges.ssh.hostkeys import HostKey, known
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

KINDS = ("ed25519", "ecdsa", "rsa")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("sshd")


@pytest.fixture(scope="module")
def authorities(directory):
    return {kind: keygen(directory / f"ca_{kind}", kind) for kind in KINDS}


def sign(ca, public, *more, names="127.0.0.1"):
    named = ["-n", names] if names else []
    words = ["ssh-keygen", "-q", "-s", ca, "-I", "web-1", "-h", *named, *more, public]
    subprocess.run(words, check=True, capture_output=True)
    return Path(f"{str(public).removesuffix('.pub')}-cert.pub")


class Way:
    def __init__(self, server, tree, authorities):
        self.server, self.tree, self.authorities = server, tree, authorities
        self.restarted = False

    def certified(self, kind="ed25519", by="ed25519", *more, **names):
        """The server has one host key of this kind, in a certificate by an authority of that kind."""
        file = sign(self.authorities[by], f"{self.server.host_keys[kind]}.pub", *more, **names)
        self.server.restart(f"HostCertificate {file}")
        self.restarted = True
        return file

    def knows(self, *lines):
        self.server.known_hosts.write_text("".join(f"{line}\n" for line in lines))

    def authority(self, kind="ed25519", marker="@cert-authority", pattern="*"):
        return f"{marker} {pattern} {Path(f'{self.authorities[kind]}.pub').read_text()}".strip()

    def look(self):
        reach = Reach("127.0.0.1", self.server.port, "root", str(self.server.client_key))
        instance = Instance("one", "", "", reach=reach)
        options = SshOptions(known_hosts=(self.server.known_hosts,), agent=False, root=str(self.tree))
        knocked = knock(instance, options, deadline_s=30)
        seen = SshLooker(options).look(instance, deadline_s=60)
        assert (knocked.reason if knocked else "") == (seen.reason if isinstance(seen, Unseen) else "")
        return seen.reason if isinstance(seen, Unseen) else ""


@pytest.fixture(scope="module")
def server(directory):
    with sshd(directory / "server", KINDS) as started:
        yield started


@pytest.fixture
def way(server, authorities, tmp_path):
    made = Way(server, tmp_path, authorities)
    yield made
    if made.restarted:
        server.restart()


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_by_a_known_authority_is_enough(way, kind, by):
    way.certified(kind, by)
    way.knows(way.authority(by))
    assert way.look() == ""


def test_the_name_may_be_a_pattern(way):
    way.certified(names="web-*,127.0.0.?")
    way.knows(way.authority(pattern=f"[127.0.0.1]:{way.server.port}"))
    assert way.look() == ""


REFUSED = {
    "another authority": ({}, lambda way: [way.authority("rsa")], "it is signed by SHA256:"),
    "for another host": ({}, lambda way: [way.authority(pattern="web-1")], "is unknown"),
    "another name": ({"names": "web-1"}, lambda way: [way.authority()], "for it is for other names"),
    "no name": ({"names": ""}, lambda way: [way.authority()], "for it is for other names"),
    "over": ({"more": ("-V", "-2h:-1h")}, lambda way: [way.authority()], "for it was good until"),
    "not yet": ({"more": ("-V", "+1h:+2h")}, lambda way: [way.authority()], "for it is good from"),
    "an option": ({"more": ("-O", "critical:x@y=1")}, lambda way: [way.authority()], "options that driftd does not"),
    "by SHA-1": ({"by": "rsa", "more": ("-t", "ssh-rsa")}, lambda way: [way.authority("rsa")], "it is signed by SHA-1"),
    "a revoked authority": (
        {},
        lambda way: [way.authority(), way.authority(marker="@revoked")],
        "it is signed by SHA256:",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_that_does_not_count_is_refused_with_the_reason(way, case):
    how, lines, said = REFUSED[case]
    way.certified("ed25519", how.get("by", "ed25519"), *how.get("more", ()), names=how.get("names", "127.0.0.1"))
    way.knows(*lines(way))
    assert said in way.look()


def test_a_server_that_shows_none_is_refused_and_its_plain_key_is_enough_where_that_is_known(way):
    way.knows(way.authority())
    assert "known only by certificates" in way.look()
    way.knows(way.authority(), f"[127.0.0.1]:{way.server.port} {way.server.line('ecdsa')}")
    assert way.look() == ""


def test_a_key_that_is_revoked_is_refused_in_a_certificate_too(way):
    way.certified()
    way.knows(way.authority(), f"@revoked * {way.server.line()}")
    assert "revoked" in way.look()


def test_where_the_provider_vouches_no_certificate_counts(way):
    file = way.certified()
    way.knows(way.authority())
    blob = base64.b64decode(file.read_text().split()[1])
    shown = replace(HostKey.parse(way.server.line()), certificate=blob)
    files = [way.server.known_hosts]
    known("127.0.0.1", way.server.port, files).check(shown)
    with pytest.raises(SshError, match="has changed"):
        known("127.0.0.1", way.server.port, files, [way.server.line("ecdsa")]).check(shown)


def test_a_users_certificate_is_none(way):
    public = f"{way.server.host_keys['ed25519']}.pub"
    words = ["ssh-keygen", "-q", "-s", way.authorities["ed25519"], "-I", "x", "-n", "127.0.0.1", public]
    subprocess.run(words, check=True, capture_output=True)
    blob = base64.b64decode(Path(public.replace(".pub", "-cert.pub")).read_text().split()[1])
    authority = base64.b64decode(Path(f"{way.authorities['ed25519']}.pub").read_text().split()[1])
    assert refused(blob, "127.0.0.1", 0, {authority}) == "it is a user's"


@pytest.fixture(scope="module")
def good(directory, authorities):
    """A certificate, its authority, and a time at which it counts."""
    public = keygen(directory / "host")
    blob = base64.b64decode(sign(authorities["ed25519"], f"{public}.pub").read_text().split()[1])
    return blob, base64.b64decode(Path(f"{authorities['ed25519']}.pub").read_text().split()[1])


@given(at=st.integers(0, 10_000), to=st.integers(0, 255))
def test_no_byte_of_it_can_be_another_one(good, at, to):
    blob, authority = good
    assert refused(blob, "127.0.0.1", 2e9, {authority}) == ""
    at %= len(blob)
    changed = blob[:at] + bytes([to]) + blob[at + 1 :]
    assert bool(refused(changed, "127.0.0.1", 2e9, {authority})) == (changed != blob)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_a_sentence(data):
    assert refused(data, "127.0.0.1", 0, {b"x"})
