"""Signing keys on disk: made once, the private one for its owner alone, and never a word of it anywhere."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from driftd.core.errors import BadInput
from driftd.edges.documents import load_public, load_signing, make_keys


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def pair(tmp_path) -> Path:
    make_keys(tmp_path / "release")
    return tmp_path / "release"


def public(pair: Path) -> Path:
    return Path(f"{pair}.pub")


def test_a_pair_that_belongs_together(tmp_path):
    before = os.umask(0)
    try:
        made = make_keys(tmp_path / "release")
    finally:
        os.umask(before)
    file = tmp_path / "release"
    assert (mode(file), mode(public(file))) == (0o600, 0o644)
    assert file.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert public(file).read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----\n")
    key = load_signing(file)
    assert key.id == load_public(public(file)).id == made.id
    assert re.fullmatch("[0-9a-f]{64}", key.id)
    assert load_public(public(file)).verifies(key.sign(b"hello"), b"hello")
    assert not load_public(public(file)).verifies(key.sign(b"hello"), b"hellp")
    assert not load_public(public(file)).verifies(b"short", b"hello")


@pytest.mark.parametrize("there", ["release", "release.pub"])
def test_no_key_is_written_over_another(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(BadInput, match="is there already"):
        make_keys(tmp_path / "release")
    assert [one.name for one in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_private_key_has_no_text(pair):
    key = load_signing(pair)
    secret = pair.read_text().splitlines()[1]
    assert secret not in f"{key} {key!r}"
    assert re.fullmatch(r"SigningKey\(id='[0-9a-f]{64}'\)", repr(key))


def made_by_openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], capture_output=True, check=True).stdout


def test_keys_that_openssl_makes_are_read(tmp_path):
    file = tmp_path / "release"
    file.touch(mode=0o600)
    file.write_bytes(made_by_openssl("genpkey", "-algorithm", "ed25519"))
    public(file).write_bytes(made_by_openssl("pkey", "-in", str(file), "-pubout"))
    assert load_signing(file).id == load_public(public(file)).id


SECRET = "MC4CAQAwBQYDK2VwBCIEI"  # how a private key of this kind begins


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def pem(file: Path, *words: str) -> None:
    file.write_bytes(made_by_openssl(*words))


SPOILED = {
    "others-may-read": (lambda file: file.chmod(0o640), "others may use"),
    "not-there": (lambda file: file.unlink(), "cannot be read: No such file"),
    "cut": (half, "does not hold a private key"),
    "flipped": (lambda file: file.write_bytes(file.read_bytes().replace(b"MC4", b"MD4")), "does not hold a private"),
    "public": (lambda file: file.write_bytes(public(file).read_bytes()), "does not hold a private key"),
    "rsa": (lambda file: pem(file, "genpkey", "-algorithm", "RSA"), "of another kind than Ed25519"),
    "x25519": (lambda file: pem(file, "genpkey", "-algorithm", "x25519"), "of another kind than Ed25519"),
    "behind-a-passphrase": (
        lambda file: pem(file, "pkey", "-in", str(file), "-aes256", "-passout", "pass:secret"),
        "behind a passphrase",
    ),
    "huge": (lambda file: file.write_bytes(file.read_bytes() * 1000), "larger than a key"),
    "a-directory": (lambda file: (file.unlink(), file.mkdir()), "cannot be read: Is a directory"),
    "a-pipe": (lambda file: (file.unlink(), os.mkfifo(file)), "is no file"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_private_key_is_one_sentence_without_a_word_of_it(pair, case):
    spoil, said = SPOILED[case]
    spoil(pair)
    with pytest.raises(BadInput) as caught:
        load_signing(pair)
    assert said in str(caught.value)
    assert caught.value.hint
    assert caught.value.__cause__ is None
    everything = f"{caught.value} {caught.value.hint}"
    assert SECRET not in everything
    assert everything.isprintable()


PUBLIC = {
    "private": (lambda file: file.write_bytes(Path(str(file)[:-4]).read_bytes()), "holds a private key"),
    "garbage": (lambda file: file.write_bytes(b"\xff\x00"), "does not hold a public key"),
    "ssh": (lambda file: file.write_text("ssh-ed25519 AAAA me\n"), "does not hold a public key"),
    "rsa": (
        lambda file: file.write_bytes(
            subprocess.run(
                ["openssl", "pkey", "-pubout"],
                input=made_by_openssl("genpkey", "-algorithm", "RSA"),
                capture_output=True,
                check=True,
            ).stdout
        ),
        "of another kind than Ed25519",
    ),
    "not-there": (lambda file: file.unlink(), "cannot be read"),
}


@pytest.mark.parametrize("case", PUBLIC)
def test_a_spoiled_public_key_is_one_sentence(pair, case):
    spoil, said = PUBLIC[case]
    spoil(public(pair))
    with pytest.raises(BadInput) as caught:
        load_public(public(pair))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.hint


def test_a_key_cannot_be_written_everywhere(tmp_path):
    with pytest.raises(BadInput, match="no key can be written here"):
        make_keys(tmp_path / "not" / "there")
