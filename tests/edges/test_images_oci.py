"""OCI images: the same fingerprint as a look at the directory that they were made of; one sentence where bad."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import planting
import pytest
import zstandard
from imaging import (
    MEDIA,
    MIB,
    Layout,
    archive,
    directory,
    layout,
    link,
    member,
    oci,
    packed,
    refused,
    run,
    seen,
    without,
)

from driftd.core.asks import Ask
from driftd.core.digestkey import DigestKey
from driftd.core.fingerprint import Fingerprint
from driftd.probe import wire

KEY = DigestKey(b"k" * 32)
HELLO = archive([member("etc/hello", b"hi")])


@pytest.fixture
def hostile():
    """A tree with one of everything."""
    home = Path(tempfile.mkdtemp(prefix="im-", dir="/var/tmp"))
    root = os.fsencode(home / "tree")
    planting.plant(root)
    yield root
    planting.clear(root)
    shutil.rmtree(home)


# --- the same as a directory -----------------------------------------------------------------------------------------


@pytest.mark.machine
def test_a_hostile_tree_is_the_same_but_for_what_the_format_cannot_carry(hostile, tmp_path):
    there = seen(directory(hostile))
    assert any(entry.flags for entry in there.values())
    assert any(entry.kind == wire.SOCKET for entry in there.values())
    assert seen(oci(layout(tmp_path / "image", packed(hostile)))) == without(there)


@pytest.mark.machine
def test_facts_and_root_of_a_whole_server_are_those_of_its_directory(golden_image, tmp_path):
    there = directory(golden_image.rootfs, key=KEY)
    assert isinstance(there, Fingerprint)
    for pack in (bytes, zstandard.compress):
        image = layout(tmp_path / pack.__name__, packed(golden_image.rootfs), pack=pack)
        found = oci(image, key=KEY)
        assert isinstance(found, Fingerprint), found
        assert (found.root, found.facts, found.looked) == (there.root, there.facts, there.looked)
        assert (found.entries, found.kept, found.live) == (there.entries, there.kept, False)
        assert len(found.facts) > 200


def test_a_tree_without_root_is_read_by_anybody(tmp_path):
    """Owners and devices that only root could unpack."""
    device = member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    entries = seen(oci(layout(tmp_path / "i", archive([member("root/x", b"", uid=0, gid=12, mode=0o4755), device]))))
    assert entries[b"/dev/null"][1:9] == (wire.CHAR, 0o666, 0, 0, 0, b"", b"", (1, 3))
    assert entries[b"/root/x"][2:5] == (0o4755, 0, 12)


def test_files_that_nobody_expected_to_be_asked_for_are_read_again(tmp_path):
    """A collector follows where configuration leads; contents come from the layer that has the file."""
    below = archive([
        member("etc/passwd", b"root:x:0:0::/srv/admin:/bin/sh\n"), member("etc/shadow", b"root:*:1::::::\n"),
        member("srv/admin/.ssh/authorized_keys", b"# nothing\n"), link("etc/ssh", "../srv/ssh"),
    ])  # fmt: skip
    keys = f"ssh-ed25519 {'A' * 68} somebody\n".encode()
    above = archive([member("srv/admin/.ssh/authorized_keys", keys), member("srv/big", b"b" * 5 * MIB)])
    for pack in (gzip.compress, bytes):
        asked = [
            Ask(b"/srv/admin/.ssh/authorized_keys", "prefix", b"%d" % len(keys)),
            Ask(b"/srv/big", "prefix", b"%d" % (5 * MIB)),
            Ask(b"/etc/ssh/none", "prefix", b"0"),
            Ask(b"/etc/passwd", "match", rb"root.*\n"),
        ]
        answer = oci(layout(tmp_path / pack.__name__, below, above, pack=pack), ask=lambda _, asked=asked: asked)
        entries = seen(answer)
        assert [fact.kind for fact in answer.facts].count("key") == 1
        first, big, none, match = (answer.answers[ask] for ask in asked)
        assert first.sha256 == entries[b"/srv/admin/.ssh/authorized_keys"].sha256
        assert (big.size, big.sha256) == (5 * MIB, entries[b"/srv/big"].sha256)
        assert none.how == "changed"
        assert match.yes


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_layout_in_an_archive_and_what_docker_saves(tmp_path):
    image = layout(tmp_path / "image", HELLO)
    run("tar", "-C", image, "-cf", tmp_path / "image.tar", ".")
    expected = seen(oci(image))
    assert expected.keys() == {b"/", b"/etc", b"/etc/hello"}
    assert seen(oci(tmp_path / "image.tar")) == expected

    run("skopeo", "copy", "--quiet", f"oci:{image}", f"docker-archive:{tmp_path / 'saved.tar'}:a/b:c")
    with tarfile.open(tmp_path / "saved.tar") as tar:
        assert "index.json" not in tar.getnames()
    assert seen(oci(tmp_path / "saved.tar")) == expected
    run("skopeo", "copy", "--quiet", f"oci:{image}", f"oci-archive:{tmp_path / 'copied.tar'}")
    assert seen(oci(tmp_path / "copied.tar")) == expected


def test_an_archive_that_was_cut_short_is_no_smaller_image(tmp_path):
    image = layout(tmp_path / "image", HELLO, HELLO)
    run("tar", "-C", image, "-cf", tmp_path / "whole.tar", "oci-layout", "index.json", "blobs")
    whole = (tmp_path / "whole.tar").read_bytes().rstrip(b"\0")
    for length in (100, 512, len(whole) // 2, len(whole) - 200):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        assert refused(oci(tmp_path / "cut.tar"))


@pytest.mark.machine
def test_an_image_that_umoci_made_is_what_umoci_unpacks(hostile, tmp_path):
    """Three layers with whiteouts, written by umoci from what changed in its own unpacked tree."""
    image, bundle = tmp_path / "image", tmp_path / "bundle"
    run("umoci", "init", "--layout", image)
    run("umoci", "new", "--image", f"{image}:a")
    run("umoci", "unpack", "--image", f"{image}:a", bundle)
    rootfs = bundle / "rootfs"
    subprocess.run(["cp", "-a", os.fsdecode(hostile) + "/.", rootfs], check=True)
    planting._flag(os.fsencode(rootfs) + b"/etc/deep/er/c", 0)
    (rootfs / "var/special/socket").unlink()
    run("umoci", "repack", "--refresh-bundle", "--image", f"{image}:a", bundle)
    shutil.rmtree(rootfs / "etc/deep")
    (rootfs / "bin/tool").unlink()
    (rootfs / "var/large").unlink()
    (rootfs / "var/large").mkdir()
    run("umoci", "repack", "--refresh-bundle", "--image", f"{image}:a", bundle)
    shutil.rmtree(rootfs / "odd")
    (rootfs / "odd").write_bytes(b"a file now")
    (rootfs / "etc/deep").mkdir()
    run("umoci", "repack", "--image", f"{image}:a", bundle)
    again = tmp_path / "again"
    run("umoci", "unpack", "--image", f"{image}:a", again)
    assert seen(oci(image)) == seen(directory(again / "rootfs"))


def test_mmdebstraps_archive_is_a_layer(golden_image, tmp_path):
    base, *_ = golden_image.rootfs.parents[1].glob("base-*.tar")
    entries = seen(oci(layout(tmp_path / "image", base.read_bytes(), pack=bytes)))
    assert len(entries) > 5000
    assert entries[b"/usr/bin/passwd"].mode == 0o4755


def test_two_hundred_layers(tmp_path):
    lower = [archive([member(f"d{n % 7}/f{n}", b"%d" % n), member(f"d{n % 5}/.wh.f{n - 9}", b"")]) for n in range(200)]
    entries = seen(oci(layout(tmp_path / "image", *lower)))
    kept = {f"/d{n % 7}/f{n}".encode() for n in range(200) if n % 7 != (n + 9) % 5 or n + 9 >= 200}
    assert {path for path, entry in entries.items() if entry.kind == wire.FILE} == kept


def test_a_stream_of_several_gzip_members_or_zstd_frames_is_one(tmp_path):
    def several(data: bytes) -> bytes:
        pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
        return b"".join([*map(gzip.compress, pieces), gzip.compress(b"")])

    def frames(data: bytes) -> bytes:
        skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
        return skipped + b"".join(zstandard.compress(data[at : at + 999]) for at in range(0, len(data), 999)) + skipped

    assert b"/etc/hello" in seen(oci(layout(tmp_path / "g", HELLO, pack=several)))
    assert b"/etc/hello" in seen(oci(layout(tmp_path / "z", HELLO, pack=frames)))


# --- which image -----------------------------------------------------------------------------------------------------


def several(path: Path) -> Path:
    made = Layout(path)
    amd = made.image([HELLO])
    arm = made.image([archive([member("arm", b"")])], platform=("linux", "arm64"))
    attestation = made.image([], annotations={"vnd.docker.reference.type": "attestation-manifest"})
    signature = made.document(
        {"config": made.blob(b"{}", "application/vnd.cncf.oras.config"), "layers": []}, MEDIA + "manifest.v1+json"
    )
    inner = made.document({"schemaVersion": 2, "manifests": [arm, attestation]}, MEDIA + "index.v1+json")
    return made.index({**amd, "annotations": {"org.opencontainers.image.ref.name": "a"}}, amd, inner, signature)


def test_the_platform_chooses_the_image(tmp_path):
    image = several(tmp_path / "image")
    assert "linux/amd64, linux/arm64" in refused(oci(image))
    assert b"/arm" in seen(oci(image, "linux/arm64"))
    assert b"/etc/hello" in seen(oci(image, "linux/amd64"))
    assert "no image for linux/riscv64" in refused(oci(image, "linux/riscv64"))
    assert "no image for linux/arm;" in refused(oci(image, "linux/arm"))


def test_two_images_of_one_platform_are_not_chosen_between(tmp_path):
    made = Layout(tmp_path / "image")
    assert "2 images for linux/amd64" in refused(oci(made.index(made.image([HELLO]), made.image([HELLO, HELLO]))))
    assert "no image" in refused(oci(made.index()))


# --- bad images ------------------------------------------------------------------------------------------------------


def blobs(image: Path) -> dict[str, Path]:
    """The blobs of an image of one layer, by what they are."""
    index = json.loads((image / "index.json").read_text())
    found = {"manifest": image / "blobs/sha256" / index["manifests"][0]["digest"][7:]}
    manifest = json.loads(found["manifest"].read_text())
    found["config"] = image / "blobs/sha256" / manifest["config"]["digest"][7:]
    found["layer"] = image / "blobs/sha256" / manifest["layers"][0]["digest"][7:]
    return found


@pytest.mark.parametrize("what", ["manifest", "config", "layer"])
def test_a_blob_that_is_not_what_names_it(tmp_path, what: str):
    def broken(change) -> str:
        image = layout(tmp_path / os.urandom(4).hex(), HELLO)
        change(blobs(image)[what])
        packed_too = image.parent / f"{image.name}.tar"
        run("tar", "-C", image, "-cf", packed_too, ".")
        said = refused(oci(image))
        assert refused(oci(packed_too)).split(":")[0] == said.split(":")[0]
        return said

    assert "missing" in broken(Path.unlink)
    assert "is to have" in broken(lambda path: path.write_bytes(path.read_bytes()[:-1]))
    assert "is to have" in broken(lambda path: path.write_bytes(path.read_bytes() + b" "))

    def flipped(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)

    assert "digest" in broken(flipped) or what == "layer"


def test_a_blob_that_would_wait_for_somebody_is_not_opened(tmp_path):
    image = layout(tmp_path / "image", HELLO)
    blobs(image)["layer"].unlink()
    os.mkfifo(blobs(image)["layer"])
    assert "no file" in refused(oci(image))


def test_a_layer_that_unpacks_to_something_else_than_the_configuration_says(tmp_path):
    made = Layout(tmp_path / "image")
    made.image([HELLO])
    other = archive([member("etc/other", b"")])
    image = made.index(made.image([HELLO], pack=lambda _: gzip.compress(other)))
    assert "unpacks to something else" in refused(oci(image))


def test_layers_that_are_cut_short_are_refused_at_every_place(tmp_path):
    data = gzip.compress(HELLO)
    for length in [0, 10, len(data) // 2, len(data) - 8]:
        image = layout(tmp_path / f"g{length}", HELLO, pack=lambda _, length=length: data[:length])
        assert "layer 1 of 1" in refused(oci(image))
    for length in [512, 700, 1024]:
        image = layout(tmp_path / f"p{length}", HELLO, pack=lambda _, length=length: HELLO[:length])
        assert "layer 1 of 1" in refused(oci(image))
    squeezed = zstandard.compress(HELLO)
    for length in [5, len(squeezed) - 1]:
        image = layout(tmp_path / f"z{length}", HELLO, pack=lambda _, length=length: squeezed[:length])
        assert "layer 1 of 1" in refused(oci(image))


def test_a_bomb_is_bounded_and_a_larger_limit_lets_it_pass(tmp_path):
    zeros = archive([member("zeros", bytes(64 * MIB))])
    image = layout(tmp_path / "image", zeros)
    assert (tmp_path / "image").stat().st_size < 1000_000
    assert "unpacks to more than 0.03125 GiB" in refused(oci(image, limit=32 * MIB))
    assert seen(oci(image, limit=128 * MIB))[b"/zeros"].size == 64 * MIB


def test_holes_count_as_what_they_are_filled_with(tmp_path):
    with (tmp_path / "holes").open("wb") as stream:
        stream.truncate(64 * MIB)
    sparse = run("tar", "-C", tmp_path, "--format=gnu", "--sparse", "-cf", "-", "holes")
    assert len(sparse) < MIB
    image = layout(tmp_path / "image", sparse)
    assert "unpacks to more" in refused(oci(image, limit=32 * MIB))
    assert seen(oci(image))[b"/holes"].size == 64 * MIB


def test_a_gzip_bomb_in_a_header_is_refused(tmp_path):
    header, _ = member("a", b"", type=b"L", size=1 << 32)
    bomb = header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)
    assert "extended header" in refused(oci(layout(tmp_path / "image", bomb)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "index.json"),
        ("[" * 100_000, "index.json"),
        ('{"manifests": 1}', "manifests"),
        ('{"manifests": [{"digest": "sha256:../../../etc/passwd", "size": 1}]}', "digest"),
        ('{"manifests": [{"digest": "md5:00", "size": 1}]}', "digest"),
        ('{"manifests": [{"digest": "sha256:' + "0" * 64 + '", "size": -1}]}', "size"),
        ('{"manifests": [{"digest": "sha256:' + "0" * 64 + '", "size": 1}]}', "missing"),
        ('{"manifests": [' + '{"digest": "sha256:00", "size": 1},' * 2000 + "]}", "index.json"),
    ],
)
def test_an_index_that_is_none(tmp_path, text: str, said: str):
    image = layout(tmp_path / "image", HELLO)
    (image / "index.json").write_text(text)
    assert said in refused(oci(image))


def test_an_index_that_leads_to_itself_is_as_impossible_as_a_deep_one(tmp_path):
    made = Layout(tmp_path / "image")
    inner = made.image([HELLO])
    for _ in range(8):
        inner = made.document({"schemaVersion": 2, "manifests": [inner]}, MEDIA + "index.v1+json")
    assert "indexes" in refused(oci(made.index(inner)))


def test_what_is_no_image_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "nothing").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    for name, said in [("empty", "no image"), ("text", "archive"), ("nothing", "no image"), ("pipe", "no file"),
                       ("gone", "No such file")]:  # fmt: skip
        assert said in refused(oci(tmp_path / name))
    run("tar", "-C", tmp_path, "-czf", tmp_path / "packed.tar.gz", "text")
    assert "packed as a whole" in refused(oci(tmp_path / "packed.tar.gz"))


def test_packings_that_no_image_has_are_named(tmp_path):
    import bz2
    import lzma

    for pack, said in ((bz2.compress, "bzip2"), (lzma.compress, "xz")):
        assert said in refused(oci(layout(tmp_path / said, HELLO, pack=pack)))
    image = layout(tmp_path / "image", HELLO)
    manifest = json.loads(blobs(image)["manifest"].read_text())
    manifest["layers"][0]["mediaType"] += "+encrypted"
    made = Layout(tmp_path / "encrypted")
    shutil.copytree(image / "blobs", made.path / "blobs", dirs_exist_ok=True)
    assert "of a type" in refused(oci(made.index(made.document(manifest, MEDIA + "manifest.v1+json"))))


def test_a_layer_is_never_partly_applied(tmp_path):
    """A good layer below a bad one makes no image."""
    bad = archive([member("../x", b"")])
    assert "layer 2 of 2" in refused(oci(layout(tmp_path / "image", HELLO, bad)))


def test_memory_is_bounded_whatever_a_file_holds(tmp_path):
    """A gigabyte of a file passes through a process that may have 400 MB in all."""
    packer, pieces = zlib.compressobj(1, zlib.DEFLATED, 31), []
    head, _ = member("large", b"")
    head.size = 1 << 30
    digest = hashlib.sha256()
    for piece in [head.tobuf(), *[bytes(MIB)] * 1024, bytes(1024)]:
        digest.update(piece)
        pieces.append(packer.compress(piece))
    pieces.append(packer.flush())
    made = Layout(tmp_path / "image")
    config = {"os": "linux", "architecture": "amd64",
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]}}  # fmt: skip
    manifest = {
        "config": made.document(config, MEDIA + "config.v1+json"),
        "layers": [made.blob(b"".join(pieces), MEDIA + "layer.v1.tar+gzip")],
    }
    image = made.index(made.document(manifest, MEDIA + "manifest.v1+json"))
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2);"
        "sys.path[:0] = ['tests', 'tests/edges']; import imaging, pathlib;"
        f"print(imaging.seen(imaging.oci(pathlib.Path({str(image)!r})))[b'/large'].size)"
    )
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=here,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"%d\n" % (1 << 30)
