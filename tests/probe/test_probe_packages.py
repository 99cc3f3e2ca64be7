"""Packages of dpkg, apk and pip; and of rpm, in databases that Debian's rpm makes."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from asking import Look
from configured import facts_of, kept, message, names_of, put

from driftd.probe import inside, rpmdb

SPEC = """\
Name: web
Version: 1.2
Release: 3
Epoch: 1
Summary: none
License: none
%description
none
%install
mkdir -p %{buildroot}/etc
echo a >%{buildroot}/etc/web.conf
%files
%config /etc/web.conf
"""
DATABASE = "var/lib/rpm/rpmdb.sqlite"


def test_packages_that_are_there_in_part_say_so(tree: Path) -> None:
    states = ["installed", "unpacked", "half-configured", "half-installed", "config-files", "not-installed"]
    text = "\n\n".join(f"Package: p{n}\nStatus: install ok {state}\nVersion: {n}" for n, state in enumerate(states))
    put(tree, "var/lib/dpkg/status", text + "\n")
    assert [(name, fields.get("state")) for name, fields in facts_of(tree, "package")] == [
        ("p0", None), ("p1", "unpacked"), ("p2", "half-configured"), ("p3", "half-installed"),
    ]  # fmt: skip


def test_images_without_a_shell_keep_a_file_for_each_package(tree: Path) -> None:
    put(tree, "var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\nArchitecture: amd64\n")
    put(tree, "var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/os-release\n")
    assert facts_of(tree, "package") == [("base-files:amd64", {"version": "12", "source": "dpkg"})]


def test_packages_of_apk(tree: Path) -> None:
    put(
        tree,
        "lib/apk/db/installed",
        "C:Q1x\nP:musl\nV:1.2.4-r2\nA:x86_64\nT:the C library\nF:lib\nR:ld.so\n\nP:busybox\nV:1\n",
    )
    assert facts_of(tree, "package") == [
        ("busybox", {"version": "1", "source": "apk"}),
        ("musl:x86_64", {"version": "1.2.4-r2", "source": "apk"}),
    ]


def test_packages_of_pip(tree: Path) -> None:
    put(tree, "etc/passwd", "bob:x:1:1::/home/bob:/bin/sh\n")
    metadata = "Metadata-Version: 2.1\nName: {0}\nVersion: 1.0\nname: other\n\nName: in the text\n"
    for path in (
        "usr/lib/python3/dist-packages/one-1.0.dist-info/METADATA", "usr/lib/python3.11/site-packages/two.egg-info",
        "usr/local/lib/python3.9/dist-packages/three.egg-info/PKG-INFO",
        "usr/local/lib64/python3.9/site-packages/four.egg/EGG-INFO/PKG-INFO",
        "home/bob/.local/lib/python3.11/site-packages/five-1.dist-info/METADATA",
    ):  # fmt: skip
        put(tree, path, metadata.format(path.split("/")[-1 if path.endswith("-info") else -2]))
    put(tree, "usr/lib/python3/dist-packages/empty-1.dist-info/RECORD")
    put(tree, "usr/lib/python3/dist-packages/code.py")
    put(tree, "usr/lib64", link="lib")
    assert sorted((fields["location"], name) for name, fields in facts_of(tree, "package")) == [
        ("/home/bob/.local/lib/python3.11/site-packages", "five-1.dist-info"),
        ("/usr/lib/python3.11/site-packages", "two.egg-info"),
        ("/usr/lib/python3/dist-packages", "one-1.0.dist-info"),
        ("/usr/local/lib/python3.9/dist-packages", "three.egg-info"),
        ("/usr/local/lib64/python3.9/site-packages", "EGG-INFO"),
    ]
    assert {fields["source"] for _, fields in facts_of(tree, "package")} == {"pip"}


# --- rpm -------------------------------------------------------------------------------------------------------------


def rpm(root: Path, *words: str | Path) -> str:
    command = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def asked(root: Path) -> list[str]:
    """What rpm itself says is installed."""
    text = rpm(root, "-qa", "--qf", "%{NAME}:%{ARCH} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n")
    return sorted(text.splitlines())


def told(root: Path) -> list[str]:
    return sorted(f"{name} {fields['version']}" for name, fields in facts_of(root, "package"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which rpm has installed 41 packages, headers longer than a page of the database among them."""
    work = tmp_path_factory.mktemp("rpm")
    extra = "".join(
        f"%package p{n}\nSummary: s\nVersion: {n}.0\n%description p{n}\n{'long ' * 97 * n}\n%files p{n}\n"
        for n in range(40)
    )
    (work / "web.spec").write_text(SPEC + extra)
    where = ["--define", f"_topdir {work}/top", "--define", f"_rpmdir {work}/out"]
    subprocess.run(["rpmbuild", "-bb", "--quiet", *where, work / "web.spec"], capture_output=True, check=True)
    root = work / "root"
    root.mkdir()
    rpm(root, "-i", "--nodeps", "--ignorearch", *sorted((work / "out").rglob("*.rpm")))
    return root


@pytest.fixture
def rpm_root(installed: Path, tree: Path) -> Path:
    shutil.copytree(installed, tree, dirs_exist_ok=True, symlinks=True)
    return tree


def state(root: Path) -> dict[Path, tuple[int, int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns, path.read_bytes()) for path in files}


def test_an_rpm_database_is_read_without_rpm_and_without_writing(rpm_root: Path) -> None:
    before = state(rpm_root)
    found = told(rpm_root)
    assert state(rpm_root) == before
    assert len(found) == 41
    assert f"web:{os.uname().machine} 1:1.2-3" in found
    assert {fields["source"] for _, fields in facts_of(rpm_root, "package")} == {"rpm"}
    assert found == asked(rpm_root)


def test_packages_come_and_go(rpm_root: Path) -> None:
    before = told(rpm_root)
    rpm(rpm_root, "-e", "--nodeps", "web-p7")
    after = told(rpm_root)
    assert sorted(set(before) ^ set(after)) == [f"web-p7:{os.uname().machine} 1:7.0-3"]
    assert after == asked(rpm_root)


def test_what_stands_in_the_log_counts(rpm_root: Path) -> None:
    """A program that is in the middle of its work has transactions in the write-ahead log alone."""
    database = sqlite3.connect(rpm_root / DATABASE, isolation_level=None)
    try:
        database.execute("PRAGMA wal_autocheckpoint=0")
        (size,) = database.execute("SELECT count(*) FROM Packages").fetchone()
        database.execute("DELETE FROM Packages WHERE hnum IN (SELECT hnum FROM Packages ORDER BY hnum LIMIT 5)")
        assert (rpm_root / f"{DATABASE}-wal").stat().st_size > 0
        assert len(told(rpm_root)) == size - 5
        # What is not committed is written early where the cache is small, and does not count.
        log = rpm_root / f"{DATABASE}-wal"
        before = log.stat().st_size
        database.execute("PRAGMA cache_size=1")
        database.execute("BEGIN")
        database.execute("DELETE FROM Packages WHERE hnum % 2 = 0")
        assert log.stat().st_size > before
        assert len(told(rpm_root)) == size - 5
        database.execute("COMMIT")
        (left,) = database.execute("SELECT count(*) FROM Packages").fetchone()
        assert len(told(rpm_root)) == left < size - 5
        # A log that is begun again has the older one's end behind it.
        database.execute("PRAGMA wal_checkpoint(RESTART)")
        database.execute("DELETE FROM Packages WHERE hnum IN (SELECT max(hnum) FROM Packages)")
        assert len(told(rpm_root)) == left - 1
        database.execute("DELETE FROM Packages")
        assert told(rpm_root) == []
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert told(rpm_root) == []
    finally:
        database.close()


def test_a_key_that_rpm_trusts_is_a_package(rpm_root: Path) -> None:
    database = sqlite3.connect(rpm_root / DATABASE)
    entries = [(1000, 0, b"gpg-pubkey\0"), (1001, 11, b"1\0"), (1002, 13, b"2\0")]
    index = b"".join(b"".join(n.to_bytes(4, "big") for n in (tag, 6, at, 1)) for tag, at, _ in entries)
    data = b"".join(text for _, _, text in entries)
    header = len(entries).to_bytes(4, "big") + len(data).to_bytes(4, "big") + index + data
    database.execute("INSERT INTO Packages(blob) VALUES (?)", (header,))
    database.commit()
    database.close()
    assert ("gpg-pubkey", {"version": "1-2", "source": "rpm"}) in facts_of(rpm_root, "package")


def test_a_damaged_database_is_read_whole_or_not_at_all(rpm_root: Path) -> None:
    path = rpm_root / DATABASE
    whole = path.read_bytes()
    chance = random.Random(3)
    place = inside.Root(os.fsencode(rpm_root))
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 3, 50])):
            damaged[chance.randrange(chance.choice([200, 5000, len(damaged)]))] = chance.choice([0, 1, 13, 127, 255])
        path.write_bytes(damaged[: chance.choice([len(damaged), len(damaged), 100, 5000])])
        try:
            rpmdb.read(place, b"/" + DATABASE.encode())
        except rpmdb.DamagedError:
            refused += 1
    place.close()
    assert refused > 50


@pytest.mark.parametrize("text", [b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 9000, b"\0" * 9000])
def test_what_is_no_database_is_said(tree: Path, text: bytes) -> None:
    put(tree, DATABASE, text)
    put(tree, "usr/lib/python3/dist-packages/x-1.dist-info/METADATA", "Name: x\nVersion: 1\n")
    ((how, why),) = kept(tree, "package")
    assert (how, why.partition(" (")[0]) == ("not available", f"the RPM database /{DATABASE} cannot be read")
    assert names_of(tree, "package") == []
    assert b"package" not in message(tree)[b"looked"]


def test_a_damaged_rpm_database_hides_no_package_of_dpkg(tree: Path) -> None:
    put(tree, DATABASE, "x")
    put(tree, "var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 5\n")
    assert names_of(tree, "package") == ["bash"]
    assert len(kept(tree, "package")) == 1


@pytest.mark.parametrize("path", ["var/lib/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db"])
def test_older_databases_are_read_by_rpm_on_a_running_system_only(tree: Path, path: str) -> None:
    put(tree, path, b"\0" * 100)
    assert kept(tree, "package") == [
        ("not available", f"the RPM database /{path} is read by rpm, on a running system only")
    ]


def test_another_python_reads_the_same(rpm_root: Path, look_streamed: Look) -> None:
    """The reader uses nothing that Python 3.6 has not; a real one is asked where there is one."""
    pythons = sorted(Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6")) or [Path(sys.executable)]
    found = look_streamed(rpm_root, python=str(pythons[0]))
    assert len([one for one in found.facts if one.kind == "package"]) == 41
