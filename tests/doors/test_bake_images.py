"""``driftd bake`` of images that nobody has started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from imaging import MIB, archive, file_system, layout, member, packed, partitioned, run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that is its user's own, so that it is the same wherever it was packed."""
    root = tmp_path / "tree"
    for name in ("etc/ssh", "var/lib/dpkg", "usr/lib/systemd/system", "boot/efi"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/shadow").write_text("root:$6$salt$hash:1::::::\n")
    (root / "etc/ssh/sshd_config").write_text("PermitRootLogin no\n")
    (root / "usr/lib/systemd/system/x.service").write_text("[Service]\nExecStart=/bin/x\n")
    status = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\n"
    (root / "var/lib/dpkg/status").write_text(status + "\n" + status.replace("base-files", "debian-archive-keyring"))
    return root


def baked(driftd, tmp_path: Path, name: str, *words: object) -> tuple[bytes, str]:
    file = tmp_path / f"{name}.manifest"
    said = driftd("bake", *words, "--image", "img", "-o", file)
    assert said.status == 0, said.err
    return file.read_bytes(), said.err


def test_one_tree_has_one_manifest_whatever_holds_it(driftd, tree: Path, tmp_path: Path):
    expected, _ = baked(driftd, tmp_path, "root", "--root", tree)
    assert b"hash" not in expected
    image = layout(tmp_path / "image", packed(tree))
    assert baked(driftd, tmp_path, "oci", "--oci", image)[0] == expected
    assert (tmp_path / "oci.sidecar").read_bytes() == (tmp_path / "root.sidecar").read_bytes()
    disk = file_system(tmp_path / "disk", tree, 16 * MIB, "ext4", "-E", f"root_owner={os.getuid()}:{os.getgid()}")
    assert baked(driftd, tmp_path, "disk", "--disk", disk)[0] == expected
    assert (tmp_path / "disk.sidecar").read_bytes() == (tmp_path / "root.sidecar").read_bytes()


def test_what_is_not_seen_of_a_disk_is_said_and_stands_in_the_manifest(driftd, tree: Path, tmp_path: Path):
    (tree / "etc/fstab").write_text("LABEL=UEFI /boot/efi vfat umask=0077 0 1\n")
    disk = file_system(tmp_path / "disk", tree, 16 * MIB)
    text, said = baked(driftd, tmp_path, "disk", "--disk", disk)
    assert b"\nunknown /boot/efi\n" in text
    assert "not seen: /boot/efi (LABEL=UEFI, which is not of this disk)" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--root", "tree", "--oci", "x"], 2, "bake reads one thing"),
        (["--disk", "x", "--oci", "x"], 2, "bake reads one thing"),
        ([], 2, "bake reads one thing"),
        (["--oci", "nowhere"], 2, "there is no image"),
        (["--disk", "nowhere"], 2, "there is no image"),
        (["--oci", "bad"], 3, "leads out of the image"),
        (["--disk", "two"], 3, "choose one with --partition"),
        (["--oci", "bomb", "--unpacked-limit", "1"], 3, "allow more with --unpacked-limit"),
        (["--root", "tree", "--platform", "linux/amd64"], 2, "--platform is for --oci"),
        (["--oci", "bad", "--partition", "1"], 2, "--partition is for --disk"),
        (["--oci", "bad", "--replay-journal"], 2, "--replay-journal is for --disk"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    driftd, tree: Path, tmp_path: Path, words, status: int, said: str
):
    layout(tmp_path / "bad", archive([member("../x", b"")]))
    if "bomb" in words:
        with (tmp_path / "hole").open("wb") as stream:
            stream.truncate(2 << 30)
        layout(tmp_path / "bomb", run("tar", "-C", tmp_path, "--sparse", "-cf", "-", "hole"))
    if "two" in words:
        one = file_system(tmp_path / "fs", tree, 16 * MIB)
        table = "label: gpt\n" + "size=32768\n" * 2
        partitioned(tmp_path / "two", 64 * MIB, table, {MIB: one, 17 * MIB: one})
    given = [tmp_path / word if (tmp_path / word).exists() or word == "nowhere" else word for word in words]
    answer = driftd("bake", *given, "--image", "img", "-o", tmp_path / "out")
    assert answer.status == status
    assert said in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()
