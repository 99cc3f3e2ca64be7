"""The strict reader of tar archives, held against Python's tarfile and GNU tar, which write what it reads."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging import archive, hard, link, member

from driftd.edges.images.errors import ImageError
from driftd.edges.images.tarball import HEADER_LIMIT, TarReader


class Stream:
    def __init__(self, data: bytes) -> None:
        self._from = io.BytesIO(data)
        self._size = len(data)

    def read(self, count: int, /) -> bytes:
        assert count <= HEADER_LIMIT
        return self._from.read(count)

    def skip(self, count: int, /) -> bool:
        return self._from.seek(count, io.SEEK_CUR) <= self._size


def read(data: bytes) -> list[tuple]:
    reader = TarReader(Stream(data))
    rows = []
    for one in reader:
        content = b"".join(reader.content(one))
        owner = (one.mode, one.uid, one.gid)
        rows.append((one.name.rstrip(b"/"), one.kind, owner, one.target, one.rdev, one.xattrs, content))
    return rows


OTHERS = ["tar --format=ustar", "tar --format=gnu", "tar --format=v7", "bsdtar", "bsdtar --format=gnutar"]
SPARSE = ["gnu", *(f"posix --sparse-version={version}" for version in ("1.0", "0.1", "0.0"))]
names = st.binary(min_size=1, max_size=300).filter(lambda name: not {0, 47} & set(name) and name.strip(b" ") == name)
owners = st.integers(0, 0o7777777)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])


@st.composite
def members(draw) -> tuple[tarfile.TarInfo, bytes]:
    kind = draw(kinds)
    content = draw(st.binary(max_size=1500)) if kind == tarfile.REGTYPE else b""
    one, _ = member(os.fsdecode(draw(names)), content, type=kind, mode=draw(st.integers(0, 0o7777)), size=len(content))
    one.uid, one.gid = draw(owners), draw(owners)
    if kind == tarfile.SYMTYPE:
        one.linkname = os.fsdecode(draw(names))
    elif kind == tarfile.CHRTYPE:
        one.devmajor, one.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 0xFFFFF))
    value = draw(st.binary(max_size=20)).decode("utf-8", "surrogateescape")
    if draw(st.booleans()):
        one.pax_headers = {"SCHILY.xattr.user.x": value or "1"}
    return one, content


@given(st.lists(members(), max_size=5), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_whatever_tarfile_writes_is_read_as_it_was_meant(written, form):
    rows = []
    for one, content in written:
        kept = form == tarfile.PAX_FORMAT
        xattrs = {k.removeprefix("SCHILY.xattr."): v for k, v in one.pax_headers.items()} if kept else {}
        xattrs = {os.fsencode(k): v.encode("utf-8", "surrogateescape") for k, v in xattrs.items()}
        owner = (one.mode, one.uid, one.gid)
        target, rdev = os.fsencode(one.linkname), (one.devmajor, one.devminor)
        rows.append((os.fsencode(one.name), one.type, owner, target, rdev, xattrs, content))
    assert read(archive(written, form)) == rows


@pytest.mark.parametrize("form", SPARSE)
@pytest.mark.parametrize("pieces", [0, 1, 3, 60])
def test_sparse_files_of_every_format(tmp_path: Path, form: str, pieces: int):
    holes = tmp_path / "holes"
    with holes.open("wb") as stream:
        for number in range(pieces):
            stream.seek((2 * number + 1) * 128 * 1024)
            stream.write(b"%d data" % number)
        stream.truncate((2 * pieces + 3) * 128 * 1024)
    data = subprocess.run(
        ["tar", "-C", tmp_path, "--sparse", *f"--format={form}".split(), "-cf", "-", "holes"],
        capture_output=True,
        check=True,
    ).stdout
    assert len(data) < 128 * 1024 * (pieces + 1)
    ((name, kind, *_, content),) = read(data)
    assert (name, kind, content == holes.read_bytes()) == (b"holes", b"0", True)


@pytest.mark.parametrize("words", OTHERS)
def test_other_tars_write_what_is_read(tmp_path: Path, words: str):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ("n" * 90)).write_bytes(b"long")
    (tmp_path / "d/s").symlink_to("t" * 90)
    os.link(tmp_path / "d" / ("n" * 90), tmp_path / "d/h")
    done = subprocess.run([*words.split(), "-C", tmp_path, "-cf", "-", "d"], capture_output=True, check=True)
    rows = {row[0]: row for row in read(done.stdout)}
    assert rows.keys() == {b"d", b"d/s", b"d/h", b"d/" + b"n" * 90}
    assert rows[b"d"][1] == b"5"
    assert (rows[b"d/s"][1], rows[b"d/s"][3]) == (b"2", b"t" * 90)
    assert {rows[name][1] for name in (b"d/h", b"d/" + b"n" * 90)} == {b"0", b"1"}
    assert sorted(rows[name][-1] for name in (b"d/h", b"d/" + b"n" * 90)) == [b"", b"long"]


def test_every_cut_is_an_error_or_ends_between_two_members():
    data = archive([member("a", b"x" * 700), member("b" * 150, b"y"), link("c", "a"), hard("d", "a")])
    whole = read(data)
    for length in range(0, len(data), 97):
        try:
            rows = read(data[:length])
        except ImageError:
            continue
        # Whether more was to come is not the archive's to know: the digest of the layer says it.
        assert rows == whole[: len(rows)]
        assert length % 512 == 0 or rows == whole


@pytest.mark.parametrize("at", [0, 100, 124, 148, 156, 257, 300])
def test_a_damaged_header_is_not_the_end_of_the_archive(at: int):
    data = bytearray(archive([member("a", b"1"), member("b", b"2")], tarfile.USTAR_FORMAT))
    data[1024 + at] ^= 0x55
    with pytest.raises(ImageError, match=r"checksum|number"):
        read(bytes(data))


def header(**changes) -> bytearray:
    one, _ = member("a", b"", **changes)
    return bytearray(one.tobuf(tarfile.USTAR_FORMAT))


def summed(data: bytearray) -> bytes:
    data[148:156] = b"        "
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def extended(records: bytes, kind: bytes = b"x", size: int | None = None) -> bytes:
    head = header(type=kind)
    head[124:136] = b"%011o\0" % (len(records) if size is None else size)
    return summed(head) + records.ljust(-(-len(records) // 512) * 512, b"\0")


END = bytes(1024)
ODD = {
    "an extended header without bounds": extended(b"", size=HEADER_LIMIT + 1),
    "a long name without bounds": extended(b"", b"L", 1 << 33),
    "an extended header at the end": extended(b"9 path=x\n") + END,
    "a record that is longer than its header": extended(b"99 path=x\n") + summed(header()) + END,
    "a record without an end": extended(b"9 path=xy") + summed(header()) + END,
    "a record without a length": extended(b"path=x\n") + summed(header()) + END,
    "a length of nothing": extended(b"0 =\n") + summed(header()) + END,
    "a negative size": extended(b"11 size=-1\n") + summed(header()) + END,
    "a NUL in a name": extended(b"11 path=\0x\n") + summed(header()) + END,
    "a kind that nobody knows": summed(header(type=b"V")) + END,
    "a sparse map that is none": extended(b"23 GNU.sparse.size=100\n27 GNU.sparse.map=0,50,20,1\n")
    + summed(header()) + END,
    "more in pieces than is stored": extended(b"23 GNU.sparse.size=100\n22 GNU.sparse.map=0,50\n")
    + summed(header()) + END,
    "one block of zeros and then more": bytes(512) + summed(header()),
    "no archive at all": b"just some text\n" * 100,
    "a size in binary that is negative": bytes(summed(header()[:124] + b"\xff" * 12 + header()[136:])) + END,
}  # fmt: skip


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_wrong_is_one_sentence(data: bytes):
    with pytest.raises(ImageError) as caught:
        read(data)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_global_headers_and_empty_values_count_for_nothing():
    data = extended(b"12 path=bad\n", b"g") + extended(b"8 path=\n8 size=\n") + summed(header()) + END
    assert [row[0] for row in read(data)] == [b"a"]


def test_signed_checksums_and_old_directories_are_read():
    old = header()
    old[0:3], old[156:157], old[257:265] = b"\xff/\0", b"\0", bytes(8)
    data = summed(old)
    signed = sum(byte - 256 if byte > 127 else byte for byte in data[:148] + b" " * 8 + data[156:])
    data = data[:148] + b"%06o\0 " % signed + data[156:]
    assert [(row[0], row[1]) for row in read(data + END)] == [(b"\xff", b"5")]


@given(st.binary(max_size=2048))
def test_anything_at_all_is_read_or_refused(data: bytes):
    with contextlib.suppress(ImageError):
        read(data)


@given(st.data())
def test_any_flipped_byte_is_read_or_refused(data):
    made = bytearray(archive([member("a", b"x" * 10), member("b" * 150, b"y"), link("c", "a")]))
    for _ in range(data.draw(st.integers(1, 3))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        read(bytes(made))
