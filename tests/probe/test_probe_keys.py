"""Which keys let whom in, which are the host's own, and how sshd is set up."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from pathlib import Path

import pytest
from configured import facts_of, kept, message, names_of, put
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.probe import keys

PASSWD = "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob/:/bin/sh\nsys:x:3:3::/dev:/usr/sbin/nologin\n"


def blob(kind: str, number: int = 0) -> str:
    body = len(kind).to_bytes(4, "big") + kind.encode() + bytes([0, 0, 0, 32]) + bytes([number]) * 32
    return base64.b64encode(body).decode()


def line(kind: str = "ssh-ed25519", number: int = 0) -> str:
    return f"{kind} {blob(kind, number)}"


def fingerprint(text: str) -> str:
    key = keys.read_line(text.encode())
    assert key is not None
    return key.fingerprint.decode()


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_fingerprints_are_those_of_ssh_keygen(tree: Path, kind: str) -> None:
    path = tree / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "who at where", "-f", str(path)], check=True)
    told = subprocess.run(["ssh-keygen", "-lf", str(path)], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]
    text = path.with_suffix(".pub").read_text()
    put(tree, "root/.ssh/authorized_keys", text)
    put(tree, f"etc/ssh/ssh_host_{kind}_key.pub", text)
    put(tree, f"etc/ssh/ssh_host_{kind}_key", path.read_bytes())
    type_ = text.split()[0]
    assert facts_of(tree, "key") == [
        (f"root {told}", {"type": type_, "comment": "who at where", "file": "/root/.ssh/authorized_keys"})
    ]
    assert facts_of(tree, "hostkey") == [(told, {"type": type_, "file": f"/etc/ssh/ssh_host_{kind}_key.pub"})]


def test_keys_of_every_home_and_of_whatever_sshd_is_told(tree: Path) -> None:
    put(tree, "etc/passwd", PASSWD)
    put(
        tree,
        "etc/ssh/sshd_config",
        'authorizedkeysfile=/etc/keys/%u "/etc/ids/%U key" %%x # y\nInclude conf.d/*.conf\n',
    )
    put(
        tree,
        "etc/ssh/conf.d/a.conf",
        "Match User eve\n AuthorizedKeysFile none %h/.more\nTrustedUserCAKeys /etc/ca.pub\n",
    )
    put(tree, "etc/ssh/conf.d/.hidden.conf", "TrustedUserCAKeys /etc/hidden.pub\n")
    put(tree, "etc/ssh/conf.d/a.other", "TrustedUserCAKeys /etc/hidden.pub\n")
    files = [
        "root/.ssh/authorized_keys", "root/.ssh/authorized_keys2", "home/bob/.ssh/authorized_keys", "etc/keys/bob",
        "etc/ids/1000 key", "home/bob/.more", "home/bob/%x", "etc/ca.pub", "etc/dropbear/authorized_keys",
        "etc/hidden.pub", "dev/.ssh/authorized_keys", "home/eve/.ssh/authorized_keys",
    ]  # fmt: skip
    for number, path in enumerate(files):
        put(tree, path, line(number=number))
    users = "root root bob bob bob bob bob * root".split()
    expected = {f"{user} {fingerprint(line(number=number))}" for number, user in enumerate(users)}
    expected.add(f"sys {fingerprint(line(number=10))}")
    found = facts_of(tree, "key")
    assert {name for name, _ in found} == expected
    assert {fields["file"] for _, fields in found} == {f"/{path}" for path in [*files[:9], files[10]]}


@pytest.mark.parametrize(
    ("text", "options", "comment"),
    [
        ("{}", "", ""),
        ("  \t{}\tbob at home ", "", "bob at home"),
        ('restrict,Command="echo \\"a, b\\" c" {} x', 'restrict,command="echo \\"a, b\\" c"', "x"),
        ('cert-authority,principals="a,b" {}', 'cert-authority,principals="a,b"', ""),
        ('from="*.example" , no {}', None, ""),
        ("no-pty", None, ""),
        (f"ssh-rsa {blob('ssh-ed25519')}", None, ""),
        ('command="open {}', None, ""),
    ],
)
def test_lines_of_keys(text: str, options: str | None, comment: str) -> None:
    key = keys.read_line(text.format(line()).encode())
    if options is None:
        assert key is None
    else:
        assert key is not None
        assert (key.type, key.options, key.comment) == (b"ssh-ed25519", options.encode(), comment.encode())
        assert key.fingerprint.decode() == fingerprint(line())


def test_what_is_no_key_is_counted_and_never_said(tree: Path) -> None:
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n-----END OPENSSH PRIVATE KEY-----\n"
    put(tree, "root/.ssh/authorized_keys", secret + line() + "\n# x\n\nssh-ed25519 AAAA no\nssh-ed25519 !!! no")
    (name, _), (odd, fields) = facts_of(tree, "key")
    assert (name, odd) == (f"root {fingerprint(line())}", "root lines that are no keys")
    assert (fields["lines"], fields["file"]) == ("5", "/root/.ssh/authorized_keys")
    assert "b3Blbn" not in repr(message(tree))


def test_a_line_ends_where_sshd_has_it_end(tree: Path) -> None:
    put(tree, "root/.ssh/authorized_keys", line() + "\0more\n")
    assert names_of(tree, "key") == [f"root {fingerprint(line())}"]


def test_a_file_that_is_too_long_is_a_fact_and_the_look_is_cut_short(tree: Path) -> None:
    put(tree, "root/.ssh/authorized_keys", "#\n" * (keys.FILE_LIMIT // 2) + line())
    assert facts_of(tree, "key") == [("root more than is read", {"file": "/root/.ssh/authorized_keys"})]
    ((how, why),) = kept(tree, "key")
    assert how == "cut short"
    assert why.startswith("/root/.ssh/authorized_keys cannot be read")


@settings(max_examples=60, deadline=None)
@given(
    options=st.lists(st.sampled_from(["no-pty", 'command="a b"', 'from="x,\\"y"', "restrict"]), max_size=3),
    number=st.integers(0, 255),
    data=st.data(),
)
def test_blanks_and_comments_change_no_key_and_the_rest_does(
    options: list[str], number: int, data: st.DataObject
) -> None:
    gap = st.text(" \t", min_size=1, max_size=3)

    def seen(options: list[str], number: int, before: str = "", after: str = "") -> list[tuple[str, dict[str, str]]]:
        kind, body = line(number=number).split()
        words = ([",".join(options)] if options else []) + [kind, body]
        text = before + "".join(data.draw(gap) + word for word in words)
        with tempfile.TemporaryDirectory() as name:
            put(Path(name), "root/.ssh/authorized_keys", text + after)
            return facts_of(Path(name), "key")

    plain = seen(options, number)
    assert len(plain) == 1
    assert (
        seen(options, number, data.draw(st.sampled_from(["", "#x\n", "\n \n\t# y\n"])), data.draw(gap) + "\n\n")
        == plain
    )
    assert seen(options, (number + 1) % 256) != plain
    assert seen([*options, "no-x11-forwarding"], number) != plain
    assert seen(options, number, after=" bob") != plain


def test_sshd_is_asked_on_a_running_system_only(tree: Path) -> None:
    said = message(tree)
    assert b"sshd" not in said[b"looked"]
    assert [why for kind, _, why in said[b"kept"] if kind == b"sshd"] == [
        b"the effective settings are asked of sshd itself, on a running system only"
    ]
