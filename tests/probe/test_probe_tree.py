from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from asking import NONCE, Look, read, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leavings import no_open_files, open_files

from driftd.core.facts import Kept
from driftd.core.fingerprint import Fingerprint
from driftd.probe import fullwalk, opening, walk, wire

# Root of the machine, not only of a user namespace (where the suite runs for an ordinary user).
ROOT = os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]

KINDS = {
    stat.S_IFREG: b"f",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFIFO: b"p",
    stat.S_IFSOCK: b"s",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
}


def told_otherwise(root: bytes) -> dict[bytes, tuple[object, ...]]:
    """The tree as another program would describe it: by whole paths and the plainest calls."""
    rows: dict[bytes, tuple[object, ...]] = {}
    links: dict[tuple[int, int], list[bytes]] = {}
    paths = [root]
    for directory, names, files in os.walk(root):
        paths += [os.path.join(directory, name) for name in names + files]
    for path in paths:
        found = os.lstat(path)
        kind = KINDS[stat.S_IFMT(found.st_mode)]
        content = Path(os.fsdecode(path)).read_bytes() if kind == b"f" else b""
        digest = hashlib.sha256(content).digest() if kind == b"f" else b""
        target = os.readlink(path) if kind == b"l" else b""
        names = sorted(os.fsencode(n) for n in os.listxattr(path, follow_symlinks=False))
        xattrs = tuple((n, os.getxattr(path, n, follow_symlinks=False)) for n in names)
        device = kind in (b"c", b"b")
        rdev = (os.major(found.st_rdev), os.minor(found.st_rdev)) if device else (0, 0)
        mode = stat.S_IMODE(found.st_mode)
        name = path[len(root) :] or b"/"
        links.setdefault((found.st_dev, found.st_ino), []).append(name)
        rows[name] = (kind, mode, found.st_uid, found.st_gid, len(content), digest, target, rdev, xattrs)
    same = {name: min(names) for names in links.values() if len(names) > 1 for name in names}
    return {name: (*row, 0, same.get(name, b"")) for name, row in rows.items()}


def told(found: Fingerprint) -> dict[bytes, tuple[object, ...]]:
    return {entry.path: tuple(entry[1:]) for entry in found.entries}


names = st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
makers = st.sampled_from(["file", "big", "directory", "link", "hard", "fifo", "xattr", "mode", "remove", "rewrite"])


def change(root: bytes, how: str, name: bytes, at: int) -> None:
    places = sorted(d for d, _, _ in os.walk(root))
    here = places[at % len(places)]
    path = os.path.join(here, name)
    others = sorted(os.path.join(here, n) for n in os.listdir(here))
    regular = [p for p in others if os.path.isfile(p) and not os.path.islink(p)]
    if how in ("xattr", "mode", "rewrite") and regular:
        victim = regular[at % len(regular)]
        if how == "xattr":
            os.setxattr(victim, b"user." + (name.hex()[:20].encode()), name)
        elif how == "mode":
            os.chmod(victim, 0o600 + at % 64)
        else:
            with open(victim, "wb") as stream:
                stream.write(name * at)
    elif how == "remove" and others:
        victim = others[at % len(others)]
        if os.path.isdir(victim) and not os.path.islink(victim):
            shutil.rmtree(victim)
        else:
            os.unlink(victim)
    elif not os.path.lexists(path):
        make(path, how, others, at)


def make(path: bytes, how: str, others: list[bytes], at: int) -> None:
    name = os.path.basename(path)
    alike = [other for other in others if os.path.islink(other) or not os.path.isdir(other)]
    if how == "directory":
        os.mkdir(path)
    elif how == "link":
        os.symlink(name + b"-target", path)
    elif how == "hard" and alike:
        os.link(alike[at % len(alike)], path, follow_symlinks=False)
    elif how == "fifo":
        os.mkfifo(path)
    else:
        with open(path, "wb") as stream:
            stream.write(name * (50_000 if how == "big" else 1))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(makers, names, st.integers(0, 40)), min_size=1, max_size=25))
def test_sees_what_another_program_sees_after_each_round_of_changes(
    look_at: Look, steps: list[tuple[str, bytes, int]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = os.fsencode(place)
        half = len(steps) // 2
        roots = []
        for part in (steps[:half], steps[half:]):
            for how, name, at in part:
                change(root, how, name, at)
            before, seen = told_otherwise(root), look_at(root)
            assert told(seen) == before
            assert seen.root == look_at(root).root
            roots.append((before, seen.root))
        assert (roots[0][0] == roots[1][0]) == (roots[0][1] == roots[1][1])


def test_names_that_are_no_text_survive(tree: Path, look_at: Look) -> None:
    odd = [b"new\nline", b"\xff\xfe", b"\x1b[31m", b" ", b"-rf", b"a" * 255, "ü".encode(), b"<b>", b"\\"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(name)
    assert {e.path for e in look_at(tree).entries} == {b"/"} | {b"/" + name for name in odd}


def test_special_files_are_described_and_never_opened(tree: Path, look_at: Look) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tree, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")  # the whole path may be too long for an address
        os.close(here)
        if ROOT:
            os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.mknod(tree / "disk", stat.S_IFBLK | 0o660, os.makedev(253, 7))
        found = look_at(tree)
    assert told(found) == told_otherwise(os.fsencode(tree))
    assert found.unreadable == ()
    if ROOT:
        assert next(e for e in found.entries if e.path == b"/disk").rdev == (253, 7)


def test_capabilities_and_acls_are_among_the_attributes(tree: Path, look_at: Look) -> None:
    (tree / "tool").write_text("x")
    (tree / "shared").mkdir()
    (tree / "link").symlink_to("tool")
    subprocess.run(["setfacl", "-m", "u:0:rw,d:g:0:rx", str(tree / "shared")], check=True)
    os.setxattr(tree / "tool", "user.note", b"\0binary\xff")
    expected = {b"user.note"}
    if ROOT:
        subprocess.run(["setcap", "cap_net_raw+ep", str(tree / "tool")], check=True)
        os.setxattr(tree / "link", "trusted.on-a-link", b"1", follow_symlinks=False)
        os.setxattr(tree / "shared", "trusted.overlay.opaque", b"y")
        expected.add(b"security.capability")
    found = {e.path: dict(e.xattrs) for e in look_at(tree).entries}
    assert set(found[b"/tool"]) == expected
    assert found[b"/tool"][b"user.note"] == b"\0binary\xff"
    # what overlayfs writes down for itself is no part of the tree
    assert set(found[b"/shared"]) == {b"system.posix_acl_access", b"system.posix_acl_default"}
    assert found[b"/link"] == ({b"trusted.on-a-link": b"1"} if ROOT else {})


def deepen(root: Path, depth: int, name: str, beside: bool) -> None:
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        if beside:
            os.mkdir(name + "2", dir_fd=fd)
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        down = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = down
    os.close(fd)


@pytest.mark.parametrize("beside", [False, True])
def test_a_tree_4000_deep_is_seen_whole(tree: Path, look_at: Look, beside: bool) -> None:
    deepen(tree, 4000, "d1", beside)
    with no_open_files():
        found = look_at(tree)
    assert found.coverage.entries == (12001 if beside else 4001)
    assert max(len(e.path) for e in found.entries) == 4000 * 3 + (2 if beside else 0)
    assert found.unreadable == ()


def test_few_directories_are_open_at_once(tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    deepen(tree, 400, "d", beside=True)
    most = 0
    contents = fullwalk.contents

    def counting(fd: int, avoid: tuple[bytes, ...]) -> tuple[list[bytes], list[bytes], list[bytes]]:
        nonlocal most
        most = max(most, fd)
        return contents(fd, avoid)

    monkeypatch.setattr(fullwalk, "contents", counting)
    highest = max(fd for fd, _ in open_files())
    look_at(tree)
    assert 0 < most < 60 + walk.OPEN_LEVELS + highest


def test_paths_past_the_limit_are_reported_and_not_followed(tree: Path, look_at: Look) -> None:
    deepen(tree, 140, "n" * 250, beside=False)
    found = look_at(tree)
    assert found.coverage.reasons == {"unreadable: path longer than 32768 bytes": 1} | trusted(found)
    assert len(found.unreadable) == 1
    assert found.coverage.entries == wire.PATH_LIMIT // 251 + 2


def trusted(found: Fingerprint) -> dict[str, int]:
    return {key: n for key, n in found.coverage.reasons.items() if "trusted" in key}


def test_a_directory_of_many_names_takes_several_blocks(tree: Path, look_at: Look) -> None:
    for number in range(wire.BLOCK_ENTRIES + 500):
        os.close(os.open(tree / str(number), os.O_CREAT | os.O_WRONLY))
    assert look_at(tree).coverage.entries == wire.BLOCK_ENTRIES + 501


def test_what_to_skip_is_left_out_and_counted(tree: Path, look_at: Look) -> None:
    (tree / "a/b").mkdir(parents=True)
    (tree / "c").write_text("x")
    found = look_at(tree, skip=(b"/a", b"/c"))
    assert [e.path for e in found.entries] == [b"/"]
    assert found.coverage.reasons["skipped: asked to leave out"] == 2


def test_an_ordinary_user_reports_what_it_may_not_read() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        root = Path(place)
        (root / "secret").write_text("x")
        (root / "closed").mkdir()
        (root / "closed/inside").write_text("x")
        (root / "listed").mkdir()
        (root / "listed/inside").write_text("x")
        (root / "open").write_text("x")
        (root / "etc").mkdir()
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (root / "etc/shadow").write_text("root:$y$verysecret:1::::::\n")
        for name, mode in [("secret", 0), ("etc/shadow", 0), ("closed", 0), ("listed", 0o444), ("open", 0o644)]:
            os.chmod(root / name, mode)
        drop = "os.setgroups([]); os.setgid(65534); os.setuid(65534); " if ROOT else ""
        program = f"import os, sys; import driftd.probe.look as l; {drop}l.main(sys.stdin.buffer, sys.stdout.buffer)"
        powerless = ["setpriv", "--bounding-set", "-all", "--"] if os.geteuid() == 0 and not ROOT else []
        command = [*powerless, sys.executable, "-B", "-c", program]
        run = subprocess.run(command, input=request(place), capture_output=True, check=True)
        for name in ("closed", "listed"):
            os.chmod(root / name, 0o755)
        found = read(run.stdout)
    assert found.unreadable == (b"/closed", b"/etc/shadow", b"/listed", b"/secret")
    assert found.coverage.reasons["unreadable: Permission denied"] == 4
    paths = {e.path: e for e in found.entries}
    assert paths[b"/secret"].sha256 == b""
    assert paths[b"/secret"].size == 1
    assert len(paths[b"/open"].sha256) == 32
    assert b"/listed" in paths
    assert b"/listed/inside" not in paths
    (account,) = (one for one in found.facts if one.kind == "account")
    assert account.get("password") == "unreadable"
    assert Kept("account", "not permitted", "/etc/shadow cannot be read (Permission denied)") in found.kept
    assert trusted(found)


def test_a_link_put_in_place_of_a_directory_is_not_followed(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "dir").mkdir()
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere/x").write_text("x")
    real = walk.open_quietly

    def exchanging(name: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
        # It is opened once, to be described and to be listed.
        if name == b"dir" and not (tree / "dir").is_symlink():
            (tree / "dir").rmdir()
            (tree / "dir").symlink_to("elsewhere")
        return real(name, flags, dir_fd)

    for module in (walk, opening):
        monkeypatch.setattr(module, "open_quietly", exchanging)
    entries = {e.path: e for e in look_at(tree).entries}
    assert b"/dir/x" not in entries
    assert entries[b"/dir"].target == b"elsewhere"


def test_the_program_as_it_is_sent_sees_the_same(tree: Path, look_at: Look, look_streamed: Look) -> None:
    deepen(tree, 5, "d", beside=True)
    assert look_streamed(tree).entries == look_at(tree).entries


def test_a_question_that_is_none_is_answered_with_a_sentence() -> None:
    from driftd.probe import bundle

    run = subprocess.run(
        [sys.executable, *bundle.ARGUMENTS], input=bundle.program() + b"Q", capture_output=True, check=True
    )
    assert b"request is cut short" in run.stdout
    wrong = wire.encode_request(NONCE, b"/nowhere/at/all", sections=(b"facts",))
    run = subprocess.run(
        [sys.executable, *bundle.ARGUMENTS], input=bundle.program() + wrong, capture_output=True, check=True
    )
    assert b"No such file" in run.stdout
