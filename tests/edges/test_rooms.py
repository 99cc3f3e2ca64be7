"""Room for what is large: whoever has it is alone there, and what goes wrong in it is told as what it is."""

import errno

import pytest

from driftd.core.errors import Unavailable
from driftd.edges.rooms import alone


def test_one_at_a_time_and_nothing_is_left(tmp_path):
    with alone(tmp_path / "disks") as room:
        (room / "root.raw").write_bytes(b"x")
        with pytest.raises(Unavailable, match="in use by another look"), alone(tmp_path / "disks", patience_s=0):
            pass
    assert [one.name for one in (tmp_path / "disks").iterdir()] == ["lock"]


def test_what_a_killed_process_left_goes_first(tmp_path):
    (tmp_path / "disks/read-old").mkdir(parents=True)
    with alone(tmp_path / "disks") as room:
        assert {one.name for one in room.parent.iterdir()} == {"lock", room.name}


def test_a_place_that_cannot_be_had_is_one_sentence(tmp_path):
    (tmp_path / "disks").write_text("a file")
    with pytest.raises(Unavailable, match="there is no room in"), alone(tmp_path / "disks"):
        pass


def test_an_error_of_whoever_is_in_there_is_no_lack_of_room(tmp_path):
    with pytest.raises(OSError, match="quota"), alone(tmp_path / "disks"):
        raise OSError(errno.EDQUOT, "the quota is used up")
    assert [one.name for one in (tmp_path / "disks").iterdir()] == ["lock"]
