"""Digest keys on disk: made once, readable by their owner alone, and never a word of one anywhere."""

import os
import stat
from pathlib import Path

import pytest

from driftd.core.digestkey import DigestKey
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.edges.documents import DigestKeyDirectory


@pytest.fixture
def keys(tmp_path: Path) -> DigestKeyDirectory:
    return DigestKeyDirectory(tmp_path / "a" / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_once_for_an_image_and_known_by_its_id(keys):
    before = os.umask(0)
    try:
        key = keys.made("web/1")
    finally:
        os.umask(before)
    file = keys.path_for("web/1")
    assert (mode(file), mode(file.parent), file.name) == (0o600, 0o700, "web%2F1.digest-key")
    assert keys.made("web/1") == keys.known("web/1", key.id) == key
    assert keys.made("web/2") != key
    assert [one.name for one in file.parent.iterdir() if one.name.startswith(".")] == []
    text = file.read_text()
    assert text == key.secret.hex() + "\n"


def test_another_key_than_the_one_that_is_asked_for_is_none(keys):
    assert keys.known("web", "0" * 16) == Unseen(
        "the key 0000000000000000 is not here", keys.known("web", "0" * 16).hint
    )
    made = keys.made("web")
    assert isinstance(keys.known("web", "0" * 16), Unseen)
    assert keys.known("web", made.id) == made


def test_a_key_has_no_text():
    key = DigestKey(b"\xab" * 32)
    assert "ab" * 4 not in f"{key} {key!r}".lower()
    assert "\\xab" not in f"{key!r}"
    assert key.id not in (b"\xab" * 32).hex()
    assert DigestKey(b"\xac" * 32).id != key.id
    with pytest.raises(ValueError, match="32 bytes"):
        DigestKey(b"\xab" * 31)


SPOILED = {
    "others-may-read": (lambda file: file.chmod(0o640), "others may use"),
    "others-may-write-beside-it": (lambda file: file.parent.chmod(0o770), "others may write to"),
    "cut": (lambda file: file.write_text(file.read_text()[:-9]), "does not hold a digest key"),
    "longer": (lambda file: file.write_text(file.read_text() + "x"), "does not hold a digest key"),
    "upper-case": (lambda file: file.write_text("AB" * 32 + "\n"), "does not hold a digest key"),
    "link": (
        lambda file: file.rename(file.with_suffix(".b")).with_suffix(".b") and file.symlink_to(file),
        "read|levels",
    ),
    "fifo": (lambda file: (file.unlink(), os.mkfifo(file, 0o600)), "is no file"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_one_that_is_not_kept_safely_is_not_used_and_not_quoted(keys, case):
    spoil, said = SPOILED[case]
    made = keys.made("web")
    spoil(keys.path_for("web"))
    found = keys.known("web", made.id)
    assert isinstance(found, Unseen)
    with pytest.raises(BadInput, match=said) as caught:
        keys.made("web")
    for text in (f"{found}", f"{caught.value} {caught.value.hint}", repr(caught.value.__cause__)):
        assert not any(made.secret.hex()[at : at + 8] in text for at in range(57))


@pytest.mark.machine
def test_one_that_somebody_else_owns_is_not_used(keys):
    made = keys.made("web")
    os.chown(keys.path_for("web"), 12345, 12345)
    found = keys.known("web", made.id)
    assert isinstance(found, Unseen) is (os.geteuid() != 12345)
    assert "belongs to somebody else" in found.reason


def test_where_no_directory_can_be_made_it_says_which_setting_names_it(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="no digest key can be kept here") as caught:
        DigestKeyDirectory(tmp_path / "file" / "keys").made("web")
    assert "setting keys" in caught.value.hint
