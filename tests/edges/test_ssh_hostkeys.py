"""known_hosts as sshd(8) describes it, and what `driftd trust` writes there."""

import base64
import shutil
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshd import fingerprint, keygen

from driftd.core.errors import BadInput
from driftd.edges.ssh.failure import SshError, quoted
from driftd.edges.ssh.hostkeys import HostKey, known
from driftd.edges.ssh.trust import record_host_keys


def make(tail: bytes, kind: str = "ssh-ed25519") -> HostKey:
    name = kind.encode()
    return HostKey(kind, len(name).to_bytes(4, "big") + name + tail)


A, B = make(b"\0\0\0\x20" + b"a" * 32), make(b"\0\0\0\x20" + b"b" * 32)
RSA = make(b"r" * 100, "ssh-rsa")


def keys_of(tmp_path, text, host="web-1", port=22):
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return known(host, port, [path]).keys


@pytest.mark.parametrize(
    ("patterns", "host", "port", "matches"),
    [
        ("web-1", "web-1", 22, True),
        ("web-1", "WEB-1", 22, True),
        ("web-1", "web-1", 2222, False),
        ("[web-1]:2222", "web-1", 2222, True),
        ("[web-1]:2222", "web-1", 22, False),
        ("[10.0.0.?]:2222", "10.0.0.7", 2222, True),
        ("web-2,web-1,10.0.0.1", "web-1", 22, True),
        ("web-*", "web-1", 22, True),
        ("*,!web-1", "web-1", 22, False),
        ("!web-1,*", "web-2", 22, True),
        ("web-1x", "web-1", 22, False),
        ("fe80::1", "fe80::1", 22, True),
        ("[::1]:2222", "::1", 2222, True),
        ("|1|bad", "web-1", 22, False),
        ("|1|!!|!!", "web-1", 22, False),
    ],
)
def test_names_match_as_the_format_says(tmp_path, patterns, host, port, matches):
    assert keys_of(tmp_path, f"{patterns} {A.line} a comment\n", host, port) == ((A,) if matches else ())


def test_a_host_may_have_several_keys_even_of_one_type_and_in_several_files(tmp_path):
    (tmp_path / "one").write_text(f"web-1 {A.line}\n\n# web-1 {RSA.line}\nweb-1\t{B.line}\r\n")
    (tmp_path / "two").write_text(f"web-1 {RSA.line}")
    assert known("web-1", 22, [tmp_path / "one", tmp_path / "absent", tmp_path / "two"]).keys == (A, B, RSA)


def test_damaged_lines_vouch_for_nobody(tmp_path):
    damaged = base64.b64encode(A.blob)[:-9].decode()
    text = f"web-1 ssh-ed25519 {damaged}\nweb-1 ssh-rsa {A.line.split()[1]}\nweb-1\n@unheard-of web-1 {A.line}\n"
    assert keys_of(tmp_path, text) == ()


def test_names_hashed_by_ssh_keygen_are_found(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"web-1 {A.line}\n[web-1]:2222 {B.line}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    assert "web-1" not in path.read_text()
    assert known("web-1", 22, [path]).keys == (A,)
    assert known("web-1", 2222, [path]).keys == (B,)
    assert known("web-2", 22, [path]).keys == ()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_fingerprints_and_lines_are_those_of_ssh_keygen(tmp_path, kind):
    path = keygen(tmp_path / "key", kind)
    public = (tmp_path / "key.pub").read_text()
    key = HostKey.parse(public)
    assert key.fingerprint == fingerprint(path)
    assert public.startswith(key.line + " ")


def test_a_revoked_key_passes_nowhere(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"web-1 {A.line}\n@revoked * {A.line}\n")
    with pytest.raises(SshError, match="revoked"):
        known("web-1", 22, [path]).check(A)
    with pytest.raises(SshError, match="revoked"):
        known("web-1", 22, [path], [A.line]).check(A)
    path.write_text(f"web-1 {A.line}\n@revoked * ssh-ed25519 AAAA\n")
    with pytest.raises(SshError, match="line 2 revokes a host key that cannot be read"):
        known("web-1", 22, [path])


def test_an_unknown_key_names_the_command_that_trusts_it(tmp_path):
    with pytest.raises(SshError) as error:
        known("Web-1", 2222, [tmp_path / "none"]).check(A)
    assert "is unknown" in str(error.value)
    assert A.fingerprint in str(error.value)
    assert error.value.hint.endswith("driftd trust web-1:2222")


def test_a_changed_key_shows_both_fingerprints_and_how_to_mend(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"web-1 {A.line}\n")
    with pytest.raises(SshError) as error:
        known("web-1", 22, [path]).check(B)
    assert A.fingerprint in str(error.value)
    assert B.fingerprint in str(error.value)
    assert "intercepting" in str(error.value)
    assert f"ssh-keygen -R 'web-1' -f {path}" in error.value.hint


def test_a_key_without_a_certificate_is_refused_where_only_an_authority_is_known(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"@cert-authority *.example {A.line}\n")
    for key in (A, B):
        with pytest.raises(SshError, match=r"known only by certificates; it presented .*: without a certificate"):
            known("web.example", 22, [path]).check(key)
    with pytest.raises(SshError, match="is unknown"):
        known("elsewhere", 22, [path]).check(A)


def test_what_the_provider_vouches_for_decides_alone(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"web-1 {A.line}\n")
    known("web-1", 22, [path], [B.line]).check(B)
    with pytest.raises(SshError, match="has changed"):
        known("web-1", 22, [path], [B.line]).check(A)
    with pytest.raises(SshError, match="cannot be read"):
        known("web-1", 22, [path], ["ssh-ed25519 nonsense"])


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path):
    with pytest.raises(SshError, match="cannot be read: Is a directory"):
        known("web-1", 22, [tmp_path])


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_stumble(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("kh") / "known_hosts"
    path.write_bytes(data + b"\nweb-1 " + A.line.encode() + b"\n" + data)
    assert known("web-1", 22, [path]).keys == (A,)


@given(st.text() | st.binary())
def test_what_a_far_end_said_is_quoted_in_one_printable_line(said):
    assert all(" " <= char <= "~" or char == "…" for char in quoted(said))
    assert len(quoted(said)) <= 801


# --- recording -------------------------------------------------------------------------------------------------------


def test_recording_makes_the_directory_appends_and_says_what_was_new(tmp_path):
    path = tmp_path / "deep" / "er" / "known_hosts"
    assert record_host_keys(path, "Web-1", 22, [A, RSA]) == [A, RSA]
    assert record_host_keys(path, "web-1", 22, [A, RSA]) == []
    assert record_host_keys(path, "web-1", 2222, [B]) == [B]
    assert path.read_text() == f"web-1 {A.line}\nweb-1 {RSA.line}\n[web-1]:2222 {B.line}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["known_hosts"]
    found = subprocess.run(["ssh-keygen", "-F", "[web-1]:2222", "-f", path], check=True, capture_output=True, text=True)
    assert B.line in found.stdout


def test_nothing_is_put_in_the_place_of_a_device(tmp_path):
    path = tmp_path / "known_hosts"
    path.symlink_to("/dev/null")  # in a test not the device itself: this must be able to fail
    with pytest.raises(BadInput, match="no regular file"):
        record_host_keys(path, "web-1", 22, [A])
    assert path.is_symlink()


def test_recording_keeps_what_others_wrote_and_the_files_rights(tmp_path):
    path = tmp_path / "real"
    path.write_bytes(b"# caf\xff\nother ssh-rsa AAAA")
    path.chmod(0o644)
    shutil.chown(path, 65534, 65534)
    link = tmp_path / "link"
    link.symlink_to(path)
    record_host_keys(link, "web-1", 22, [A])
    assert link.is_symlink()
    assert path.read_bytes() == b"# caf\xff\nother ssh-rsa AAAA\nweb-1 " + A.line.encode() + b"\n"
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o644, 65534)


@pytest.mark.parametrize("new", [[B], [RSA], [B, RSA]])
def test_another_key_never_replaces_a_known_one(tmp_path, new):
    path = tmp_path / "known_hosts"
    record_host_keys(path, "web-1", 22, [A])
    before = path.read_bytes()
    with pytest.raises(BadInput) as error:
        record_host_keys(path, "web-1", 22, new)
    assert A.fingerprint in str(error.value)
    assert "ssh-keygen -R 'web-1'" in error.value.hint
    assert path.read_bytes() == before


def test_a_key_that_stayed_does_not_cover_for_one_that_changed(tmp_path):
    path = tmp_path / "known_hosts"
    record_host_keys(path, "web-1", 22, [A, RSA])
    with pytest.raises(BadInput, match="knows web-1 by the ssh-ed25519 key"):
        record_host_keys(path, "web-1", 22, [B, RSA])


def test_a_further_kind_of_key_joins_the_known_one(tmp_path):
    path = tmp_path / "known_hosts"
    record_host_keys(path, "web-1", 22, [A])
    assert record_host_keys(path, "web-1", 22, [A, RSA]) == [RSA]


def test_a_revoked_key_is_not_recorded(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"@revoked * {A.line}\n")
    with pytest.raises(BadInput, match="revokes"):
        record_host_keys(path, "web-1", 22, [A])


@pytest.mark.parametrize("host", ["", "a b", "*", "web-1\nevil ssh-rsa AAAA", "a,b", "!a", "|1|a|b", "@revoked"])
def test_a_host_that_could_say_something_else_in_the_file_is_refused(tmp_path, host):
    with pytest.raises(BadInput, match="is not a host name"):
        record_host_keys(tmp_path / "known_hosts", host, 22, [A])
    assert not list(tmp_path.iterdir())


def test_a_full_or_closed_directory_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="could not be recorded"):
        record_host_keys(tmp_path / "file" / "known_hosts", "web-1", 22, [A])


def test_two_who_record_at_once_lose_nothing(tmp_path):
    path = tmp_path / "known_hosts"
    hosts = [f"host-{n}" for n in range(24)]
    threads = [threading.Thread(target=record_host_keys, args=(path, host, 22, [A])) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(line.split()[0] for line in path.read_text().splitlines()) == sorted(hosts)
    assert [entry.name for entry in tmp_path.iterdir()] == ["known_hosts"]
