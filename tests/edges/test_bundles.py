"""Bundles of evidence on the disk: whole or not there, the same bytes for the same members, refused once changed."""

from __future__ import annotations

import errno
import os
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.core.custody.terms import Held, Member
from driftd.core.errors import BadInput, Refused
from driftd.edges import bundles
from driftd.edges.bundles import BundleDirectory, unpacked

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID, OTHER = "01KTQ8Z3F5M7N9P1R3T5V7W9XA", "01KTQ8Z3F5M7N9P1R3T5V7W9XB"
MEMBERS = [Member("index.json", b"{}\n"), Member("files/0001.txt", b"hello\n"), Member("files/0002.bin", bytes(9))]


@pytest.fixture
def place(tmp_path: Path) -> BundleDirectory:
    return BundleDirectory(tmp_path / "some" / "evidence", 1 << 20)


def test_what_is_kept_is_read_again_and_is_its_owners_alone(place):
    held = place.keep(ID, MEMBERS, NOW)
    assert unpacked(place.read(ID, held)) == {one.name: one.data for one in MEMBERS}
    assert place.size(ID) == held.size
    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert place.path(ID).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in place.directory.iterdir()] == [f"{ID}.tar.gz"]
    place.remove(ID)
    place.remove(ID)
    assert place.size(ID) is None


def test_the_same_members_and_time_make_the_same_bytes(place):
    held = place.keep(ID, MEMBERS, NOW)
    assert place.keep(OTHER, MEMBERS, NOW) == held == place.keep(ID, MEMBERS, NOW)
    assert place.keep(OTHER, MEMBERS, NOW + timedelta(seconds=1)) != held


def test_a_directory_that_others_may_read_is_closed_to_them(place):
    place.directory.mkdir(mode=0o755, parents=True)
    place.directory.chmod(0o755)
    place.keep(ID, MEMBERS, NOW)
    assert place.directory.stat().st_mode & 0o777 == 0o700


def test_every_changed_byte_is_noticed(place):
    held = place.keep(ID, MEMBERS, NOW)
    file = place.path(ID)
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BadInput, match="was changed"):
            place.read(ID, held)
    for other in (whole[:-1], whole + b"\0", b""):
        file.write_bytes(other)
        with pytest.raises(BadInput, match="was changed"):
            place.read(ID, held)
    file.unlink()
    with pytest.raises(BadInput, match="is gone"):
        place.read(ID, held)
    file.symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match=str(file)):
        place.read(ID, held)


def test_where_there_is_no_room_nothing_is_left(place):
    small = BundleDirectory(place.directory, 700)
    held = small.keep(ID, MEMBERS, NOW)
    noise = [Member("files/0001.bin", os.urandom(700))]
    with pytest.raises(Refused, match=r"no room for evidence .* evidence\.room"):
        small.keep(OTHER, noise, NOW)
    assert [one.name for one in place.directory.iterdir()] == [f"{ID}.tar.gz"]
    assert small.read(ID, held)
    assert small.keep(ID, MEMBERS, NOW) == held, "one that takes its own place needs no more room"


def test_a_full_disk_is_a_sentence_and_leaves_nothing(place, monkeypatch):
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bundles.os, "fsync", full)
    with pytest.raises(Refused, match=r"could not be written .*No space left .*evidence\.directory"):
        place.keep(ID, MEMBERS, NOW)
    assert [*place.directory.iterdir()] == []


def test_what_a_crash_left_half_made_goes_after_a_day(place):
    place.keep(ID, MEMBERS, NOW)
    for age, name in ((3600, f".{OTHER}.young"), (100_000, f".{OTHER}.old")):
        (place.directory / name).write_bytes(b"half")
        os.utime(place.directory / name, (NOW.timestamp() - age,) * 2)
    place.keep(ID, MEMBERS, NOW)
    assert sorted(one.name for one in place.directory.iterdir()) == [f".{OTHER}.young", f"{ID}.tar.gz"]


def test_a_place_that_is_no_directory(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused, match="could not be written"):
        BundleDirectory(tmp_path / "file", 1 << 20).keep(ID, MEMBERS, NOW)


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 26, ID + "/x", ID.lower()])
def test_no_other_name_than_an_id_leads_anywhere(place, name):
    with pytest.raises(BadInput, match="no id of evidence"):
        place.read(name, Held(1, "a" * 64))


def test_what_is_no_bundle_is_refused(tmp_path: Path):
    for data in (b"", b"x", b"\x1f\x8b\x08\x00"):
        with pytest.raises(BadInput, match="no bundle"):
            unpacked(data)
    file = tmp_path / "x.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        link = tarfile.TarInfo("index.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BadInput, match="no bundle"):
        unpacked(file.read_bytes())
