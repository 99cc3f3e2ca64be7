from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from asking import read, request
from scene import PROGRAMS

from driftd.core.fingerprint import Fingerprint
from driftd.probe import mounts

SECTIONS = (b"facts", b"sessions")
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
ROOTLESS = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


@dataclass
class Seen:
    found: Fingerprint
    moved: list[str]

    def digest(self, path: bytes) -> str:
        known = {hashlib.sha256(text).digest(): text.decode() for text in (b"baked", b"mounted", b"above", b"below")}
        return next(known[e.sha256] for e in self.found.entries if e.path == path)

    def paths(self, *above: bytes) -> set[bytes]:
        return {e.path for e in self.found.entries if e.path.startswith(above)}


def stage(work: Path, *how: str) -> Seen:
    skip = [os.fsencode(str(path)) for path in PROGRAMS]
    question, answer, moved = work / "question", work / "answer", work / "moved"
    question.write_bytes(request(b"/", SECTIONS, skip=skip))
    scene = [sys.executable, str(Path(__file__).with_name("scene.py")), str(work), str(question), str(answer)]
    subprocess.run([*NAMESPACE, *ROOTLESS, "--", *scene, str(moved), *how], check=True)
    return Seen(read(answer.read_bytes(), SECTIONS), moved.read_text().split("\n"))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return stage(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return stage(tmp_path_factory.mktemp("scene"), "without")


def test_looking_writes_nothing_and_moves_no_access_time(seen: Seen) -> None:
    assert seen.moved == [""]
    assert seen.found.coverage.bytes_hashed > 3_000_000


def test_what_is_beneath_a_mount_is_seen(seen: Seen) -> None:
    assert seen.found.covered == ()
    assert seen.paths(b"/dev") == {b"/dev", b"/dev/console-beneath"}
    assert seen.digest(b"/data/beneath") == "below"
    assert {b"/data/beneath-dir/low", b"/data/both-dirs/low"} <= seen.paths(b"/data/")


def test_a_name_on_both_sides_is_reported_as_programs_see_it(seen: Seen) -> None:
    assert seen.digest(b"/data/both") == "above"
    assert {b"/data/both-dirs/high", b"/data/hosts"} <= seen.paths(b"/data/")
    assert b"/data/dir-or-file/lost" not in seen.paths(b"/data/")
    assert seen.found.coverage.reasons["hidden: beneath a mount, by a name on it"] == 4


def test_a_file_mounted_over_a_file_is_the_one_that_counts(seen: Seen) -> None:
    assert seen.digest(b"/etc/hosts") == "mounted"
    assert seen.found.coverage.reasons["hidden: a file beneath a mounted file"] == 1


def test_the_mount_point_is_the_directory_that_was_there_before(seen: Seen) -> None:
    assert next(e.mode for e in seen.found.entries if e.path == b"/data") == 0o700


def test_a_disk_below_a_passing_file_system_is_seen_with_the_way_to_it(seen: Seen) -> None:
    assert seen.paths(b"/run") == {
        b"/run", b"/run/beneath", b"/run/media", b"/run/media/disk", b"/run/media/disk/file",
    }  # fmt: skip


def test_file_systems_passed_over_are_counted_by_kind(seen: Seen) -> None:
    reasons = seen.found.coverage.reasons
    assert reasons["skipped: tmpfs file system"] >= 2
    assert reasons["skipped: proc file system"] >= 1
    assert reasons["skipped: mount that could not be reached"] >= 1  # the programs, which were to be left out


def test_the_rest_is_there_as_well(seen: Seen) -> None:
    assert [one.name for one in seen.found.facts if one.get("source") == "dpkg"] == ["x"]
    assert [one.get("password") for one in seen.found.facts if one.kind == "account"] == ["locked"]
    assert {b"/etc/link", b"/var/log/fifo", b"/proc"} <= seen.paths(b"/etc", b"/var", b"/proc")
    assert not [reason for reason in seen.found.coverage.reasons if "private view" in reason]


def test_without_the_right_to_mount_what_is_beneath_is_covered(without: Seen) -> None:
    assert {b"/data", b"/dev", b"/run", b"/proc"} <= set(without.found.covered)
    assert without.paths(b"/dev") == {b"/dev"}
    assert without.digest(b"/data/both") == "above"
    assert b"/data/beneath" not in without.paths(b"/data")
    assert without.digest(b"/etc/hosts") == "mounted"
    assert b"/run/media/disk/file" in without.paths(b"/run")
    assert any("private view" in reason for reason in without.found.coverage.reasons)


def test_without_a_view_still_nothing_but_links_and_directories_is_touched(without: Seen) -> None:
    regular = {"/root/etc/passwd", "/root/etc/shadow", "/root/var/large", "/root/data/both", "/root/var/log/auth.log"}
    assert not regular & set(without.moved)


def test_what_is_mounted_in_a_directory_elsewhere_is_covered(tree: Path) -> None:
    for name in ("here/beneath", "there"):
        (tree / name).mkdir(parents=True)
    look = "import sys; import driftd.probe.look as l; l.main(sys.stdin.buffer, sys.stdout.buffer)"
    script = 'mount -n -t tmpfs tmpfs "$1/here" && touch "$1/here/x" && exec "$2" -c "$3"'
    run = subprocess.run(
        [*NAMESPACE, *ROOTLESS, "--", "sh", "-c", script, "sh", str(tree), sys.executable, look],
        input=request(tree),
        capture_output=True,
        check=True,
    )
    found = read(run.stdout)
    assert found.covered == (b"/here",)
    assert [e.path for e in found.entries] == [b"/", b"/here", b"/there"]


# --- mountinfo -----------------------------------------------------------------------------


def row(number: int, above: int, point: str, kind: str) -> bytes:
    return f"{number} {above} 0:1 / {point} rw - {kind} x rw\n".encode()


def test_mounts_that_no_path_leads_to_are_not_visible() -> None:
    text = (
        row(1, 0, "/", "ext4")
        + row(2, 1, "/a/b", "xfs")  # below what was then mounted on /a
        + row(3, 1, "/a", "tmpfs")
        + row(4, 1, "/twice", "ext4")
        + row(5, 4, "/twice", "btrfs")
        + row(6, 4, "/twice/under", "xfs")
        + row(7, 5, "/twice/over", "vfat")
        + rb"8 1 0:1 / /with\040space\134 rw shared:3 master:1 - ext4 /dev/x rw"
        + b"\nnonsense\n9 x\n"
    )
    shown, hidden = mounts.visible(mounts.parse(text))
    assert shown == {
        b"/": b"ext4",
        b"/a": b"tmpfs",
        b"/twice": b"btrfs",
        b"/twice/over": b"vfat",
        b"/with space\\": b"ext4",
    }
    assert hidden == 3


def test_a_mount_put_on_the_root_hides_nothing_from_those_who_stand_in_it() -> None:
    text = row(1, 0, "/", "ext4") + row(2, 1, "/proc", "proc") + row(3, 1, "/", "ext4")
    assert mounts.visible(mounts.parse(text))[0] == {b"/": b"ext4", b"/proc": b"proc"}
