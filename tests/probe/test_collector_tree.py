"""The collector without Python sees the same tree as the probe, in every userland, whatever the names."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shells import SHELLS, shell, wrapped

from driftd.core.fingerprint import Fingerprint
from driftd.edges.providers.local.tools import owns_machine
from driftd.probe import collector, wire

HOSTILE = [
    b"a\nb", b"\n", b"\n\n", b"cr\rx", b"-n", b"--help", b"%s%d", b"back\\slash", b"\\057", b"tab\tx", b"*", b"?",
    b"[a]", b"'q'", b'"d"', b"$(id)", b"`id`", b" lead", b"trail ", b"caf\xe9", b"\xc3\xa9", b"\x81\x82\x88",
    b"\xff\xfe", b"\x01\x02\x7f", b"x" * 255, b"=N", b"=O", b"# file: x", b"0123", b"1e3", b"~", b"#",
    b"a|b", b"U etc",
]  # fmt: skip
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.binary(min_size=1, max_size=20).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")),
)
KINDS = ["file", "directory", "link", "hard", "fifo", "sparse", "xattr", "device", "socket"]
changes = st.tuples(st.sampled_from(KINDS), st.integers(0, 9), names, st.integers(0, 0o7777), st.binary(max_size=40))


@pytest.fixture(scope="module", params=SHELLS)
def one(request, tmp_path_factory):
    return shell(request.param, tmp_path_factory.mktemp("shell"))


@pytest.fixture(params=["dash", "bash"])
def gnu(request, tmp_path_factory):
    """Those whose tools can be replaced: busybox runs its own whatever PATH says."""
    return shell(request.param, tmp_path_factory.mktemp("shell"))


def grow(root, steps):
    """Make a tree of ``steps``; what cannot be made is left out."""
    directories, files = [root], []
    for kind, at, name, mode, content in steps:
        path = directories[at % len(directories)] + b"/" + name
        if os.path.lexists(path) or (kind == "device" and not owns_machine()) or (kind == "hard" and not files):
            continue
        if kind == "hard":
            os.link(files[at % len(files)], path, follow_symlinks=False)
        elif kind == "link":
            os.symlink(content.replace(b"\0", b"\n") or name, path)
        else:
            make(kind, path, at, mode, content)
            if owns_machine():
                os.chmod(path, mode)
        if kind == "directory":
            directories.append(path)
        elif kind != "hard":
            files.append(path)


def make(kind, path, at, mode, content):
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o20600, os.makedev(1 + at, mode * 250))
    elif kind == "socket":
        os.mknod(path, 0o140600)
    else:
        with open(path, "wb") as out:
            out.write(content)
            out.truncate(1 + at * 3_000_017 if kind == "sparse" else len(content))
    if kind == "xattr":
        os.setxattr(path, b"user." + content.replace(b"\0", b"") + b"x", content)
        os.setxattr(path, b"user.\n=\\" + content[:5].hex().encode(), bytes(range(256)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(changes, max_size=25))
def test_it_sees_what_the_probe_sees(one, look_at, steps):
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(os.fsencode(directory), b"root")
        os.mkdir(root)
        try:
            grow(root, steps)
            same(look_at(root), one.look(root))
        finally:
            subprocess.run(["rm", "-rf", "--", root], check=True)


def same(probe, collector):
    assert isinstance(collector, Fingerprint), collector
    for theirs, ours in zip(probe.entries, collector.entries, strict=True):
        assert ours == theirs
    assert collector.root == probe.root
    assert collector.coverage.bytes_hashed == probe.coverage.bytes_hashed
    assert (collector.unreadable, collector.covered) == (probe.unreadable, probe.covered)


@pytest.mark.machine
def test_every_odd_name_as_everything_that_a_name_can_be(one, tree, look_at, monkeypatch):
    root = os.fsencode(tree)
    monkeypatch.chdir(tree)
    for at, name in enumerate(HOSTILE):
        inner = root + b"/%d" % at
        os.mkdir(inner)
        os.symlink(name, inner + b"/link")
        os.symlink(b"/etc/passwd", inner + b"/" + name)
        [os.mkdir, os.mkfifo, lambda path: open(path, "w").close(), lambda path: os.symlink("x", path)][at % 4](
            root + b"/" + name
        )
        if at % 4 == 0:
            for leaf in (b"/f", b"/" + name):
                with open(root + b"/" + name + leaf, "wb") as out:
                    out.write(name)
                os.chown(root + b"/" + name + leaf, 2**32 - 2 - at, at)
    os.mknod(root + b"/null", 0o20666, os.makedev(1, 3))
    os.mknod(root + b"/disk", 0o60660, os.makedev(259, 300_000))
    os.link(root + b"/0/link", root + b"/1/other\nname")
    os.setxattr(root + b"/0/link", b"trusted.q", b"", follow_symlinks=False)
    os.setxattr(root + b"/null", b"security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    subprocess.run(["setfacl", "-m", "u:1000:rw", tree / "8"], check=True)
    flagged = {tree / "3": "+i", tree / "a\nb" / "f": "+a"}
    for path, flag in flagged.items():
        subprocess.run(["chattr", flag, path], check=True)
    try:
        seen = one.look(root)
        same(look_at(root), seen)
        assert sum(1 for entry in seen.entries if entry.flags) == 2
    finally:
        for path in flagged:
            subprocess.run(["chattr", "-ia", path], check=True)


def test_more_names_than_fit_into_one_batch(one, tree, look_at):
    for directory in ("a", "b"):
        (tree / directory).mkdir()
        for at in range(1500):
            (tree / directory / f"{'n' * 150}{at:05}").touch()
    same(look_at(tree), one.look(tree))


def test_targets_with_newlines_do_not_take_each_others_place(one, tree, look_at):
    for at, target in enumerate(["ab\ncd", "ab", "cd", "x\n", "\nx", "\n", "y", "zz"]):
        (tree / f"{at}").symlink_to(target)
    same(look_at(tree), one.look(tree))


def test_what_lies_deeper_than_a_path_can_be_is_unreadable_and_not_absent(one, tree):
    fd = os.open(tree, os.O_DIRECTORY)
    for _ in range(40):
        os.mkdir(b"d" * 150, dir_fd=fd)
        below = os.open(b"d" * 150, os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    seen = one.look(tree)
    assert isinstance(seen, Fingerprint), seen
    (unread,) = seen.unreadable
    assert unread == max(entry.path for entry in seen.entries)
    assert 3600 < len(unread) < 4096
    assert seen.coverage.reasons["unreadable: path longer than 3840 bytes"] == 1


def test_names_to_leave_out_and_files_over_the_limit(one, tree, look_at):
    for name in ("a*", "ab", "big", "sub"):
        (tree / name).mkdir() if name == "sub" else (tree / name).write_text("x" * 100 if name == "big" else name)
    (tree / "sub/below").touch()
    asked = {"skip": [b"/a*", b"/sub"], "limits": {b"file_bytes": 99}}
    seen = one.look(tree, **asked)
    same(look_at(tree, **asked), seen)
    assert [entry.path for entry in seen.entries] == [b"/", b"/ab", b"/big"]
    assert seen.unreadable == (b"/big",)
    assert seen.coverage.reasons["skipped: asked to leave out"] == 2


@pytest.mark.machine
def test_what_is_mounted_in_a_root_elsewhere_is_covered(one, tree, look_at):
    for name in ("over", "back\\sl*sh", "plain"):
        (tree / name).mkdir()
        (tree / name / "beneath").touch()
        subprocess.run(["mount", "-t", "tmpfs", "driftd-test", tree / name], check=True)
    try:
        seen = one.look(tree)
        same(look_at(tree), seen)
        assert seen.covered == (b"/back\\sl*sh", b"/over", b"/plain")
    finally:
        for name in ("over", "back\\sl*sh", "plain"):
            subprocess.run(["umount", tree / name], check=True)


@pytest.mark.machine
@pytest.mark.parametrize("view", [True, False])
def test_a_mount_whose_server_may_not_answer_is_not_touched(one, tree, monkeypatch, view):
    from driftd.probe import mounts

    # A tmpfs in its place; as long as it is there, what is in it can be seen.
    monkeypatch.setattr(mounts, "IN_KERNEL", mounts.IN_KERNEL - {b"tmpfs"})
    monkeypatch.setattr(collector, "source", collector.source.__wrapped__)
    (tree / "dead").mkdir(0o700)
    (tree / "beside").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=711", "driftd-test", tree / "dead"], check=True)
    try:
        (tree / "dead/below").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "driftd-test", tree / "dead/below"], check=True)
        seen = replace(one, view=view).look(tree)
        assert isinstance(seen, Fingerprint), seen
        modes = {entry.path: entry.mode for entry in seen.entries}
        # The directory beneath, where its cover can be taken off without anybody's noticing; else nothing.
        assert modes == {b"/": 0o755, b"/beside": 0o755} | ({b"/dead": 0o700} if view else {})
        assert seen.covered == (b"/dead",)
        assert (tree / "dead/below").is_mount()
    finally:
        subprocess.run(["umount", tree / "dead/below", tree / "dead"], check=True)


@pytest.mark.machine
def test_what_a_user_may_not_read_is_said(one, tree):
    for name, mode in (("secret", 0o000), ("open", 0o644)):
        (tree / name).write_text(name)
        (tree / name).chmod(mode)
    for name, mode in (("locked", 0o000), ("listed", 0o744)):
        (tree / name).mkdir()
        (tree / name / "in").touch()
        (tree / name).chmod(mode)
    outside = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        outside.chmod(0o755)
        shutil.move(tree, outside / "root")
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        (outside / "tools").mkdir()
        seen = replace(shell(one.name, outside / "tools"), before=nobody).look(outside / "root")
        assert isinstance(seen, Fingerprint), seen
        assert seen.unreadable == (b"/listed", b"/locked", b"/secret")
        assert [entry.path for entry in seen.entries] == [b"/", b"/listed", b"/locked", b"/open", b"/secret"]
        assert seen.entries[-1].sha256 == b""
        assert any(reason.startswith("not permitted: extended") for reason in seen.coverage.reasons)
    finally:
        subprocess.run(["rm", "-rf", outside], check=True)


def test_a_file_that_is_never_still_is_unreadable_and_one_that_settles_is_read(gnu, tree, tmp_path):
    (tree / "moving").write_text("m")
    (tree / "settling").write_text("s")
    (tree / "still").write_text("t")
    # Both have changed by the time that the batch is through; "moving" goes on changing.
    script = f"""
        "$real" "$@"; status=$?
        [ -e {tmp_path}/once ] || {{ : >{tmp_path}/once; echo more >>{tree}/settling; }}
        echo more >>{tree}/moving
        exit $status"""
    seen = wrapped(gnu, tmp_path, "sha256sum", script).look(tree)
    assert isinstance(seen, Fingerprint), seen
    assert seen.unreadable == (b"/moving",)
    assert seen.coverage.reasons["unreadable: changed while read"] == 1
    assert [bool(entry.sha256) for entry in seen.entries if entry.kind == wire.FILE] == [False, True, True]


def test_what_goes_away_while_it_is_looked_at_is_gone(gnu, tree, tmp_path):
    for at in range(5):
        (tree / f"file{at}").touch()
        (tree / f"link{at}").symlink_to(f"target{at}")
    seen = wrapped(gnu, tmp_path, "stat", f'rm -f {tree}/file2 {tree}/link3; exec "$real" "$@"').look(tree)
    assert isinstance(seen, Fingerprint), seen
    left = {entry.path for entry in seen.entries}
    assert not left & {b"/file2", b"/link3"}
    assert len(left) == 9
    assert not seen.unreadable
