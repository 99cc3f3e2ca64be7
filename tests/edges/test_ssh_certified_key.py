"""A key whose certificate stands beside it, as ssh has it (KEY-cert.pub), with a real sshd that trusts its CA."""

import subprocess

import pytest
from sshd import keygen, sshd

from driftd.core.facts import Instance, Reach, Unseen
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sshd")
    ca = keygen(directory / "ca")
    with sshd(directory, extra=f"TrustedUserCAKeys {ca}.pub\n") as server:
        yield server


@pytest.fixture
def key(tmp_path):
    return keygen(tmp_path / "own")


@pytest.fixture
def look(server, key, tmp_path):
    (tmp_path / "tree").mkdir()
    options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(tmp_path / "tree"))

    def looks():
        reach = Reach("127.0.0.1", server.port, "root", str(key))
        return SshLooker(options).look(Instance("one", "", "", reach=reach), deadline_s=60)

    return looks


def sign(server, public, *more, names="root"):
    words = ["ssh-keygen", "-q", "-s", server.directory / "ca", "-I", "driftd@control", "-n", names, *more, public]
    subprocess.run(words, check=True, capture_output=True)


def test_the_certificate_beside_it_is_shown(server, key, look):
    assert "refused the key SHA256:" in look().reason
    sign(server, f"{key}.pub", "-V", "-1m:+5m")
    assert not isinstance(look(), Unseen)
    assert "ID driftd@control (serial 0) CA ED25519" in server.log()


def test_one_that_the_server_does_not_take_is_named(server, key, look):
    sign(server, f"{key}.pub", names="nobody")
    seen = look()
    assert f"with the certificate driftd@control of {key}-cert.pub, for user root" in seen.reason
    assert "TrustedUserCAKeys" in seen.hint


@pytest.mark.parametrize("valid", ["-2h:-1h", "+1h:+2h"])
def test_one_that_is_not_good_now_is_left_out_and_named_where_the_key_is_refused(server, key, look, valid):
    sign(server, f"{key}.pub", "-V", valid)
    assert f"{key}-cert.pub, which is not good now" in look().reason
    allowed = server.directory / "authorized_keys"
    before = allowed.read_text()
    try:
        allowed.write_text((key.parent / "own.pub").read_text())
        assert not isinstance(look(), Unseen)
    finally:
        allowed.write_text(before)


def test_what_stands_there_and_is_no_certificate_of_that_key_is_an_error(server, key, look, tmp_path):
    beside = tmp_path / "own-cert.pub"
    for text in ("", "nonsense", (tmp_path / "own.pub").read_text()):
        beside.write_text(text)
        assert look().reason == f"{beside} is not a user's certificate in OpenSSH's format"
    sign(server, f"{key}.pub", "-h")
    assert "is not a user's certificate" in look().reason
    other = keygen(tmp_path / "other")
    sign(server, f"{other}.pub")
    beside.write_text((tmp_path / "other-cert.pub").read_text())
    assert look().reason == f"the certificate {beside} is another key's"
