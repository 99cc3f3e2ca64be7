from __future__ import annotations

import os
from pathlib import Path

import pytest
from asking import Look, request
from leavings import no_open_files

from driftd.core.facts import Fact, fact
from driftd.core.fingerprint import Fingerprint
from driftd.probe import accounts, inside, look, packages, wire

STATUS = b"""\
Package: bash
Status: install ok installed
Priority: required
Architecture: amd64
Version: 5.2.15-2+b7
Description: GNU Bourne Again SHell
 Version: 9.9 is what this line of the description says
Conffiles:
 /etc/skel/.bashrc 1f98b8f3f3c8f8927eca945d59dcc1c6

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: all

Package: held
Status: hold ok installed
Version: 1:2-3
Architecture: all


Version: no name
Status: install ok installed

Package: waiting
Architecture: amd64
status: install ok triggers-awaited
Version: 7
"""


def fill(tree: Path, **files: bytes) -> None:
    places = {"status": "var/lib/dpkg/status", "passwd": "etc/passwd", "shadow": "etc/shadow", "group": "etc/group"}
    for name, text in files.items():
        path = tree / places[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def of(found: Fingerprint, kind: str) -> tuple[Fact, ...]:
    return tuple(fact for fact in found.facts if fact.kind == kind)


def test_installed_packages_are_those_with_all_their_files(tree: Path, look_at: Look) -> None:
    fill(tree, status=STATUS)
    assert of(look_at(tree), "package") == (
        fact("package", "bash:amd64", version="5.2.15-2+b7", source="dpkg"),
        fact("package", "held:all", version="1:2-3", source="dpkg"),
        fact("package", "waiting:amd64", version="7", source="dpkg"),
    )


@pytest.mark.parametrize("status", [b"", b"\n\n\n", b"garbage", b"\xff\x00:\n:\n\nPackage:\n", STATUS[:-20] + b"\0"])
def test_a_damaged_status_file_is_read_as_far_as_it_goes(tree: Path, look_at: Look, status: bytes) -> None:
    fill(tree, status=status)
    assert {p.name for p in of(look_at(tree), "package")} <= {"bash:amd64", "held:all", "waiting:amd64"}


def test_accounts_are_told_fieldwise_and_the_hash_is_not(tree: Path) -> None:
    rows = [b"root:x", b"open:", b"old:$1$hashinpasswd", b"locked:x", b"star:x", b"empty:x", b"lost:x", b"bang:!x"]
    passwd = b"".join(row + b":%d:0:GECOS,,:/home:/bin/sh\n" % number for number, row in enumerate(rows))
    shadow = (
        b"root:$y$j9T$secrethash:19000:0:99999:7:::\nlocked:!$y$secrethash:1::::::\nstar:*:1::::::\nempty::1::::::\n"
    )
    fill(tree, passwd=passwd, shadow=shadow, group=b"root:x:0:\nadm:x:4:zoe,adam,,adam\n")
    asked = request(tree)
    stream = b"".join(look.answer(wire.unpack(asked[5:])))
    from asking import read

    found = read(stream)
    states = {account.name: account.get("password") for account in of(found, "account")}
    assert states == {
        "root": "set", "open": "empty", "old": "set", "locked": "locked", "star": "locked", "empty": "empty",
        "lost": "locked", "bang": "locked",
    }  # fmt: skip
    star = of(found, "account")[-1]
    assert (star.name, star.get("uid"), star.get("gid"), star.get("home"), star.get("shell")) == (
        "star", "4", "0", "/home", "/bin/sh"
    )  # fmt: skip
    assert of(found, "group") == (fact("group", "adm", gid=4, members="adam,zoe"), fact("group", "root", gid=0))
    assert "secrethash" not in repr(found.facts)
    assert "hashinpasswd" not in repr(found.facts)
    assert [kept.kind for kept in found.kept] == ["sshd"]


def test_rows_that_are_none_are_counted(tree: Path, look_at: Look) -> None:
    good = b"a:x:1:1::/:/bin/sh\n# remark\n\n"
    fill(tree, passwd=good + b"b:x:minus:1::/:/x\nc:x:1\nd:x:99999999999:1::/:/\n", group=b"x:x:1\n")
    found = look_at(tree)
    assert [a.name for a in of(found, "account")] == ["a"]
    assert [(kept.kind, kept.why) for kept in found.kept] == [
        ("account", "3 lines are not in the table's format"),
        ("group", "1 lines are not in the table's format"),
        ("sshd", "the effective settings are asked of sshd itself, on a running system only"),
    ]


def test_text_that_is_no_utf_8_is_escaped(tree: Path, look_at: Look) -> None:
    fill(tree, group=b"caf\xe9:x:1:\xff\n")
    assert of(look_at(tree), "group") == (fact("group", "caf\\xe9", gid=1, members="\\xff"),)


def test_nothing_there_is_not_the_same_as_kept_from_us(tree: Path, look_at: Look, monkeypatch) -> None:
    empty = look_at(tree)
    assert (empty.facts, [kept.kind for kept in empty.kept]) == ((), ["sshd"])
    assert {"account", "group", "package"} <= set(empty.seen_kinds())
    fill(tree, status=STATUS, passwd=b"a:x:1:1::/:/bin/sh\n", group=b"a:x:1:\n")
    monkeypatch.setattr(packages, "STATUS_LIMIT", 100)
    monkeypatch.setattr(accounts, "TABLE_LIMIT", 3)
    found = look_at(tree)
    assert [kept.kind for kept in found.kept] == ["account", "group", "package", "sshd"]
    assert "File too large" in found.kept[0].why
    assert not {"account", "group", "package"} & set(found.seen_kinds())
    (tree / "var/lib/dpkg/status").unlink()
    (tree / "var/lib/rpm").mkdir()
    (tree / "var/lib/rpm/rpmdb.sqlite").write_text("x")
    (kept,) = (one for one in look_at(tree).kept if one.kind == "package")
    assert kept.why == "the RPM database /var/lib/rpm/rpmdb.sqlite cannot be read (it is no SQLite file)"


def test_a_fifo_in_place_of_a_table_does_not_stop_the_look(tree: Path, look_at: Look) -> None:
    (tree / "etc").mkdir()
    os.mkfifo(tree / "etc/passwd")
    assert of(look_at(tree), "account") == ()


@pytest.mark.parametrize(
    "target",
    ["/real", "../real", "../../../../real", "/loop/../real", "sub/../../real", "./up/real", "/up/real"],
)
def test_links_lead_where_they_would_on_the_instance(tree: Path, target: str) -> None:
    (tree / "etc/sub").mkdir(parents=True)
    (tree / "loop").mkdir()
    (tree / "real").write_bytes(b"inside")
    (tree / "up").symlink_to("..")
    (tree / "etc/up").symlink_to("/")
    (tree / "etc/passwd").symlink_to(target)
    root = inside.Root(os.fsencode(tree))
    assert root.read(b"/etc/passwd", 100) == b"inside"
    root.close()


def test_links_without_an_end_are_refused(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    (tree / "outside").symlink_to(f"..{tree}/../../../etc/hostname")
    root = inside.Root(os.fsencode(tree))
    with no_open_files():
        with pytest.raises(OSError, match="symbolic links"):
            root.read(b"/a", 100)
        with pytest.raises(FileNotFoundError):
            root.read(b"/outside", 100)
        with pytest.raises(IsADirectoryError):
            root.read(b"/", 100)
    root.close()
