"""Who may log in and do what: accounts, groups, sudo rules, PAM, NSS."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from configured import facts_of, kept, message, names_of, put
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from driftd.probe import facts, inside, sudoers
from driftd.probe.found import Found

ROOT = "root:x:0:0:Charlie &,,,:/root:/bin/bash\n"
BLANK = st.text(" \t", min_size=1, max_size=3)


def account(tree: Path, name: str = "root") -> dict[str, str]:
    (fields,) = (fields for one, fields in facts_of(tree, "account") if one == name)
    return fields


def shadow(tree: Path, row: str, **more: bytes) -> dict[str, str]:
    put(tree, "etc/shadow", row)
    return account(tree, **more)


def test_an_account_is_told_fieldwise(tree: Path) -> None:
    put(tree, "etc/passwd", ROOT)
    fields = shadow(tree, "root:$y$j9T$salt$hash:19000:0:99999:7:::\n")
    assert len(fields.pop("digest")) == 32
    assert fields == {
        "uid": "0", "gid": "0", "gecos": "Charlie &,,,", "home": "/root", "shell": "/bin/bash", "password": "set",
    }  # fmt: skip


def test_a_hash_leaves_only_as_a_digest_with_the_images_key(tree: Path) -> None:
    put(tree, "etc/passwd", ROOT + "old:$1$inpasswd:7:7::/:/bin/sh\n")
    put(tree, "etc/group", "adm:x:4:\n")
    put(tree, "etc/gshadow", "adm:$6$ingshadow:root,bin:\n")
    one = shadow(tree, "root:$y$j9T$salt$hash:19000:0:99999:7:::\n")["digest"]
    assert shadow(tree, "root:$y$j9T$salt$hash:19000:0:99999:7:::\n")["digest"] == one
    assert shadow(tree, "root:$y$j9T$salt$hasi:19000:0:99999:7:::\n")["digest"] != one
    assert shadow(tree, "root:!$y$j9T$salt$hash:19000:0:99999:7:::\n")["digest"] not in ("", one)  # locked with a hash
    assert "digest" not in shadow(tree, "root:!*:19000::::::\n")
    (said,) = facts_of(tree, "group")
    assert said[1].pop("digest")
    assert said == ("adm", {"gid": "4", "admins": "bin,root", "password": "set"})
    for key in (b"", b"another"):
        text = repr(message(tree, key))
        assert not [word for word in ("inpasswd", "ingshadow", "salt", "$1$", "$6$", "$y$") if word in text]
    assert not [
        fields for kind in ("account", "group") for _, fields in facts_of(tree, kind, b"") if "digest" in fields
    ]


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ("19000:0:99999:7:::", {}),
        ("19000::::::", {}),
        ("19000:0:99999:7::20000:", {"expires": "20000"}),
        ("0:0:99999:7:::", {"aging": "must be changed at the next login"}),
        ("19000:0:90:7:::", {"aging": "changed on day 19000, good for 90 days"}),
        ("19001:0:90:7:10:1:", {"aging": "changed on day 19001, good for 90 days and 10 more", "expires": "1"}),
        ("junk", {}),
    ],
)
def test_dates_that_decide_about_logging_in(tree: Path, row: str, fields: dict[str, str]) -> None:
    put(tree, "etc/passwd", ROOT)
    said = shadow(tree, f"root:*:{row}\n")
    assert {key: said[key] for key in ("expires", "aging") if key in said} == fields


def test_rows_for_directories_of_names_are_told(tree: Path) -> None:
    put(tree, "etc/passwd", ROOT + "+@admins::::::\n+::::::/bin/false\nbad::::::\n")
    assert names_of(tree, "account") == ["+", "+@admins", "root"]
    assert kept(tree, "account") == [("not available", "1 lines are not in the table's format")]


def test_two_rows_of_one_name_are_two_facts(tree: Path) -> None:
    put(tree, "etc/passwd", ROOT + "root:x:0:0::/tmp:/bin/sh\n")
    assert names_of(tree, "account") == ["root", "root"]


def test_what_an_ordinary_user_may_not_read_is_said(tree: Path) -> None:
    put(tree, "etc/passwd", ROOT)
    for path in ("etc/shadow", "etc/sudoers", "etc/pam.d/su"):
        put(tree, path, "root:*:1::::::\n").chmod(0)
    put(tree, "root/.ssh/authorized_keys").parent.chmod(0)
    place, found = inside.Root(os.fsencode(tree)), Found()
    before = os.geteuid()
    if before == 0:
        os.seteuid(1)
    try:
        facts.collect(place, found, live=False)
    finally:
        os.seteuid(before)
        place.close()
    said = found.message()
    assert [fields[b"password"] for kind, _, fields in said[b"facts"] if kind == b"account"] == [b"unreadable"]
    denied = {kind for kind, how, why in said[b"kept"] if how == b"not permitted" and b"Permission denied" in why}
    assert denied == {b"account", b"key", b"pam", b"sudo"}


# --- sudo ------------------------------------------------------------------------------------------------------------


def rules(tree: Path) -> list[str]:
    return [name for name in names_of(tree, "sudo") if name != "order of the rules"]


def order(tree: Path) -> list[str]:
    return [fields["digests"] for name, fields in facts_of(tree, "sudo") if name == "order of the rules"]


def test_sudo_rules_are_lines_without_what_means_nothing(tree: Path) -> None:
    put(
        tree,
        "etc/sudoers",
        '#1 no comment\nDefaults  x="a  # b" # c\n\n# d \\\nbob\tALL=(ALL) \\\n  /bin/a\\ \\ b #e\\\nx y\n',
    )
    assert rules(tree) == ["#1 no comment", 'Defaults x="a  # b"', "bob ALL=(ALL) /bin/a\\ \\ b", "x y"]
    assert facts_of(tree, "sudo")[0][1] == {"file": "/etc/sudoers"}


def test_included_sudoers_are_read_as_sudo_does(tree: Path) -> None:
    lines = ["@include other", "#include /etc/sudoers.%h # here", '@include "/etc/a b"', "@include /etc/c\\ d"]
    put(tree, "etc/sudoers", "\n".join([*lines, "#includedir /etc/sudoers.d", "last ALL=ALL"]))
    put(tree, "etc/hostname", "web-1.example\n")
    for name in (
        "other",
        "sudoers.web-1",
        "a b",
        "c d",
        "sudoers.d/20",
        "sudoers.d/10",
        "sudoers.d/x.dpkg",
        "sudoers.d/y~",
    ):
        put(tree, f"etc/{name}", f"{name.replace(' ', '-')} ALL=ALL\n")
    (tree / "etc/sudoers.d/directory").mkdir()
    put(tree, "etc/sudoers.d/gone", link="nowhere")
    expected = ["a-b", "c-d", "last", "other", "sudoers.d/10", "sudoers.d/20", "sudoers.web-1"]
    assert rules(tree) == [f"{name} ALL=ALL" for name in expected]
    assert kept(tree, "sudo") == []
    (digests,) = order(tree)
    (tree / "etc/sudoers.d/20").rename(tree / "etc/sudoers.d/05")
    assert order(tree) != [digests]


def test_sudoers_that_include_each_other_end(tree: Path) -> None:
    put(tree, "etc/sudoers", "root ALL=ALL\n@include /etc/sudoers\n@includedir /etc\n")
    assert set(rules(tree)) == {"root ALL=ALL"}
    assert kept(tree, "sudo") == [("cut short", "more files include each other than sudo would read")]


def test_the_order_of_rules_is_one_fact(tree: Path) -> None:
    first, second = "bob ALL=ALL\n", "bob ALL=NOPASSWD: ALL\n"
    put(tree, "etc/sudoers", first + second)
    before = facts_of(tree, "sudo")
    put(tree, "etc/sudoers", second + first)
    after = facts_of(tree, "sudo")
    assert [row for row in after if row not in before] == [row for row in after if row[0] == "order of the rules"]
    put(tree, "etc/sudoers", first + "User_Alias A=x\n" + second)
    assert order(tree) == [fields["digests"] for name, fields in before if name == "order of the rules"]


word = st.sampled_from(
    ["bob", "%adm", "ALL=(ALL)", "ALL", "NOPASSWD:", "/bin/ls", '"a  b"', "x\\#y", "#12", "a\\ b", "-l"]
)
line = st.lists(word, min_size=2, max_size=5)
remark = st.sampled_from(["", "# x", "#", '# " \\', "#x \\"])


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(line, min_size=1, max_size=4), data=st.data())
def test_blanks_and_comments_change_no_rule_and_every_word_does(lines: list[list[str]], data: st.DataObject) -> None:
    def text(words: list[str]) -> str:
        gaps = [data.draw(BLANK | st.just(" \\\n ")) for _ in words[1:]]
        body = words[0] + "".join(gap + part for gap, part in zip(gaps, words[1:], strict=True))
        return data.draw(st.sampled_from(["", " "])) + body + " " + data.draw(remark)

    def seen(text: str) -> list[tuple[str, dict[str, str]]]:
        put(tree, "etc/sudoers", text)
        return facts_of(tree, "sudo")

    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        plain = seen("\n".join(" ".join(words) for words in lines))
        blank = data.draw(st.lists(remark, max_size=2))
        assert seen("\n".join([*blank, *map(text, lines)])) == plain
        at = data.draw(st.integers(0, len(lines) - 1))
        other = data.draw(line)
        assume(other != lines[at])
        assert seen("\n".join(" ".join(words) for words in [*lines[:at], other, *lines[at + 1 :]])) != plain


sudo_line = st.sampled_from(
    [
        "bob  ALL = (ALL)   /bin/ls  -l   /x # c", "Defaults\tx=\"a  # b\"", "User_Alias A = bob,\\\n  carol",
        "%adm ALL=(ALL:ALL) NOPASSWD:ALL", "# x \\", "carol ALL=(root) /bin/echo a\\ b\\# c#d", '"q # r" ALL=ALL#x',
        "#12 ALL=ALL", "%#13 ALL=ALL # 1", 'dan ALL=ALL /bin/e " # "', "",
    ]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(sudo_line, min_size=1, max_size=5))
def test_sudo_itself_reads_the_normalised_lines_as_it_reads_the_file(lines: list[str]) -> None:
    def cvtsudoers(text: bytes) -> bytes:
        done = subprocess.run(["cvtsudoers", "-f", "json", "-"], input=text, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else b""

    text = "\n".join(lines).encode() + b"\n"
    expected = cvtsudoers(text)
    assume(expected)
    assert cvtsudoers(b"".join(line + b"\n" for line in sudoers.effective_lines(text))) == expected


# --- PAM, NSS --------------------------------------------------------------------------------------------------------


def test_pam_stacks_are_told_by_service_and_type(tree: Path) -> None:
    put(
        tree,
        "etc/pam.d/sshd",
        "# PAM\n@include common-auth\naccount  Required pam_nologin.so\n-session optional x.so # y\n",
    )
    put(
        tree,
        "etc/pam.d/common-auth",
        "auth [success=1  default=ignore]\tpam_unix.so \\\n nullok\nauth requisite pam_deny.so\n",
    )
    put(tree, "etc/pam.conf", "su auth sufficient evil.so\n")
    assert facts_of(tree, "pam") == [
        ("common-auth/auth", {"stack": "[success=1 default=ignore] pam_unix.so nullok; requisite pam_deny.so"}),
        ("sshd/account", {"stack": "required pam_nologin.so"}),
        ("sshd/auth", {"stack": "@include common-auth"}),
        ("sshd/session", {"stack": "-optional x.so"}),
    ]


def test_no_comment_goes_on_in_the_next_line(tree: Path) -> None:
    put(tree, "etc/pam.d/x", "auth required a.so # c \\\nauth sufficient evil.so\n# d \\\naccount required b.so")
    assert [fields["stack"] for _, fields in facts_of(tree, "pam")] == [
        "required b.so",
        "required a.so; sufficient evil.so",
    ]


def test_pam_files_elsewhere_are_told_by_their_paths(tree: Path) -> None:
    put(tree, "etc/pam.d/su", "auth include /opt/more\n@include /opt/all\naccount substack ../up\n")
    put(tree, "opt/more", "auth sufficient a.so\n")
    put(tree, "opt/all", "@include /opt/all\npassword sufficient b.so\n")
    put(tree, "etc/up", "account required c.so\n")
    put(tree, "usr/lib/pam.d/su", "auth required vendor.so\n")
    put(tree, "usr/lib/pam.d/other", "auth required deny.so\n")
    assert facts_of(tree, "pam") == [
        ("/etc/pam.d/../up/account", {"stack": "required c.so"}),
        ("/opt/all/password", {"stack": "@include /opt/all; sufficient b.so"}),
        ("/opt/more/auth", {"stack": "sufficient a.so"}),
        ("other/auth", {"stack": "required deny.so"}),
        ("su/account", {"stack": "substack ../up"}),
        ("su/auth", {"stack": "include /opt/more"}),
        ("su/password", {"stack": "@include /opt/all"}),
    ]


def test_the_one_file_of_pam_counts_where_there_is_no_directory(tree: Path) -> None:
    put(tree, "etc/pam.conf", "SU auth sufficient a.so\nsu auth required b.so\n")
    assert facts_of(tree, "pam") == [("su/auth", {"stack": "sufficient a.so; required b.so"})]


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["required", "pam_unix.so", "[a=1", "b=2]", "nullok", "x#y"]), min_size=2, max_size=5
    ),
    data=st.data(),
)
def test_blanks_and_comments_change_no_stack_and_every_word_does(words: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        put(tree, "etc/pam.d/x", "auth " + " ".join(words))
        plain = facts_of(tree, "pam")
        text = "auth" + "".join(data.draw(BLANK | st.just(" \\\n")) + part for part in words) + data.draw(BLANK)
        put(tree, "etc/pam.d/x", f"{data.draw(remark)}\n{text}{data.draw(remark)}\n\n")
        assert facts_of(tree, "pam") == plain
        at = data.draw(st.integers(0, len(words) - 1))
        put(tree, "etc/pam.d/x", "auth " + " ".join([*words[:at], "other", *words[at + 1 :]]))
        assert facts_of(tree, "pam") != plain


def test_where_names_are_looked_up(tree: Path) -> None:
    put(tree, "usr/etc/nsswitch.conf", "passwd: evil\n")
    put(tree, "etc/nsswitch.conf", "# x\npasswd:\t files  systemd # y\nhosts:files [!UNAVAIL=return] dns\n\nbroken\n")
    assert facts_of(tree, "nss") == [
        ("hosts", {"services": "files [!UNAVAIL=return] dns"}),
        ("passwd", {"services": "files systemd"}),
    ]


# --- whoever wishes us ill -------------------------------------------------------------------------------------------

HOSTILE = """
etc/passwd etc/shadow etc/group etc/gshadow etc/sudoers etc/sudoers.d etc/pam.d etc/pam.conf etc/nsswitch.conf
etc/crontab etc/cron.d etc/anacrontab var/spool/cron var/spool/at root/.ssh root/.ssh/authorized_keys
etc/ssh/sshd_config etc/ssh/x_key.pub lib/apk/db/installed var/lib/dpkg/status etc/systemd/system
etc/systemd/system/x.service usr/lib/systemd/system/y.wants root/.config/systemd/user usr/lib/python3/dist-packages
usr/lib/python3/dist-packages/x.dist-info/METADATA var/lib/systemd/linger
""".split()


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_that_stands_in_a_files_place_stops_the_look(tree: Path, path: str) -> None:
    place = tree / path
    place.parent.mkdir(parents=True)
    outside = tree.parent / "outside"
    outside.write_text("secret:x:0:0::/:/bin/sh\nsecret ALL=ALL\n* * * * * secret\n")
    for make in (
        lambda: os.mkfifo(place),
        lambda: place.symlink_to(place.name),
        lambda: place.symlink_to(outside),
        lambda: place.symlink_to("/dev/zero"),
        place.mkdir,
        lambda: place.write_bytes(os.urandom(4096) + b"\n\0\xff\n" + b"x" * 100_000),
        lambda: place.write_bytes(b"\\\n" * 50_000 + b'"' * 1001 + b"\n[" * 100 + b"@include /" * 1000),
    ):
        make()
        assert "secret" not in repr(message(tree))
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
        else:
            place.unlink()
