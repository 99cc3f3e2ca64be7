"""Packages are verified by the whole chain, keyring to file; whatever is wrong with any link, nothing is."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from archive import archive, greeter

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.transactions.contents import Contents
from driftd.edges.documents import load_policy
from driftd.edges.packages import PackageDirectory, deb
from driftd.probe import wire

KEY = ("greeter", "2.0-1", "amd64")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    one = archive(tmp_path_factory.mktemp("archive"))
    greeter(one, "1.0-1")
    greeter(one, "2.0-1")
    one.publish()
    return one


@pytest.fixture
def place(made, tmp_path):
    """A copy that may be damaged."""
    return Path(shutil.copytree(made.root, tmp_path / "packages", ignore=shutil.ignore_patterns("Packages")))


def rings(*files) -> frozenset[bytes]:
    return frozenset(hashlib.sha256(Path(file).read_bytes()).digest() for file in files)


def ask(place, keyrings, key=KEY):
    return PackageDirectory(place).contents(*key, keyrings)


def test_the_whole_chain_gives_what_the_package_holds(made, place):
    found = ask(place, rings(made.keyring))
    assert isinstance(found, Contents)
    program = found.members[b"/usr/bin/greet"]
    text = b"#!/bin/sh\necho hello 2.0-1\n"
    assert (program.kind, program.mode, program.uid, program.gid) == (wire.FILE, 0o755, 0, 0)
    assert program.sha256 == hashlib.sha256(text).digest()
    assert found.members[b"/usr/share/greeter"].kind == wire.DIRECTORY
    assert found.settings == {b"/etc/greeter.conf"}
    assert found.release.startswith("driftd tests tests (key ")
    assert {b"list", b"md5sums", b"postinst", b"conffiles"} <= {*found.control, b"md5sums"}


def test_the_list_is_what_dpkg_writes(made, place, tmp_path):
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text("")
    words = ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-not-root", "--unpack"]
    subprocess.run([*words, place / "greeter_2.0-1_amd64.deb"], check=True, capture_output=True)
    written = (root / "var/lib/dpkg/info/greeter.list").read_bytes()
    assert ask(place, rings(made.keyring)).control[b"list"] == hashlib.sha256(written).digest()


def test_a_detached_signature_will_do(made, place):
    (place / "InRelease").unlink()
    assert isinstance(ask(place, rings(made.keyring)), Contents)


def test_copies_of_what_apt_keeps_will_do(made, place):
    (place / "lists").mkdir()
    (place / "InRelease").rename(place / "lists" / "example.org_dists_tests_InRelease")
    (place / "Packages.gz").rename(place / "lists" / "example.org_dists_tests_main_binary-amd64_Packages.gz")
    (place / "Release").unlink()
    assert isinstance(ask(place, rings(made.keyring)), Contents)


def test_an_armoured_keyring_will_do(made, place):
    (place / "keyring.gpg").unlink()
    (place / "keyring.asc").write_bytes(made.gpg("--armor", "--export"))
    assert isinstance(ask(place, rings(place / "keyring.asc")), Contents)


def test_a_change_of_the_directory_is_seen(made, place):
    source = PackageDirectory(place, fresh_s=0)
    package = place / "greeter_2.0-1_amd64.deb"
    kept = package.read_bytes()
    assert isinstance(source.contents(*KEY, rings(made.keyring)), Contents)
    package.unlink()
    assert isinstance(source.contents(*KEY, rings(made.keyring)), Unseen)
    package.write_bytes(kept)
    assert isinstance(source.contents(*KEY, rings(made.keyring)), Contents)


def _flip(path: Path, at: int = -100) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def _resign(place: Path, made) -> None:
    """Somebody else signs the same release."""
    other = archive(place.parent, "other")
    for name, words in (("InRelease", ["--clearsign"]), ("Release.gpg", ["--armor", "--detach-sign"])):
        other.gpg(*words, "--output", place / name, place / "Release")


def _forge(place: Path, made) -> None:
    """Text around the signed one, which names an index, which names a package of somebody else's."""
    package = place / "greeter_2.0-1_amd64.deb"
    true = hashlib.sha256(package.read_bytes()).hexdigest().encode()
    other = archive(place.parent, "forger").deb("greeter", "2.0-1", {"/usr/bin/greet": (0o755, "evil")})
    shutil.copy(other, package)
    false = hashlib.sha256(package.read_bytes()).hexdigest().encode()
    index = gzip.compress(gzip.decompress((place / "Packages.gz").read_bytes()).replace(true, false))
    (place / "Packages.gz").write_bytes(index)
    forged = f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages.gz\n\n"
    for name in ("InRelease", "Release"):
        (place / name).write_text(forged + (place / name).read_text() + forged)


WRONG = {
    "another-package": (lambda place, _: _flip(place / "greeter_2.0-1_amd64.deb"), "does not have the package"),
    "no-package": (lambda place, _: (place / "greeter_2.0-1_amd64.deb").unlink(), "does not have the package"),
    "another-index": (lambda place, _: _flip(place / "Packages.gz", -12), ""),
    "no-index": (lambda place, _: (place / "Packages.gz").unlink(), "no signed index"),
    "another-release": (lambda place, _: [_flip(place / "InRelease", 60), _flip(place / "Release", 60)], "no release"),
    "another-key": (_resign, "no release"),
    "text-around-it": (_forge, "no signed index"),
    "no-keyring": (lambda place, _: (place / "keyring.gpg").unlink(), "no release"),
    "nothing": (lambda place, _: shutil.rmtree(place), "there is no directory"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_chain_with_a_broken_link_verifies_nothing(made, place, name):
    damage, said = WRONG[name]
    damage(place, made)
    found = ask(place, rings(made.keyring))
    assert isinstance(found, Unseen)
    assert said in found.reason
    assert "\n" not in found.reason


def test_a_keyring_that_was_not_baked_is_none(made, place):
    assert "is signed by a keyring that was baked" in ask(place, frozenset()).reason


def test_a_version_that_nobody_signed_is_none(made, place):
    assert "no signed index" in ask(place, rings(made.keyring), ("greeter", "3.0", "amd64")).reason


def test_an_expired_key_signs_nothing(tmp_path):
    old = archive(tmp_path, "old")
    greeter(old, "2.0-1")
    old.gpg(
        "--faked-system-time",
        "20200101T000000",
        "--passphrase",
        "",
        "--quick-generate-key",
        "x",
        "ed25519",
        "sign",
        "1d",
    )
    old.keyring.write_bytes(old.gpg("--export", "x"))
    old.publish()
    old.gpg(
        "--faked-system-time",
        "20200101T000100",
        "-u",
        "x",
        "--clearsign",
        "--output",
        old.root / "InRelease",
        old.root / "Release",
    )
    old.gpg(
        "--faked-system-time",
        "20200101T000100",
        "-u",
        "x",
        "--armor",
        "--detach-sign",
        "--output",
        old.root / "Release.gpg",
        old.root / "Release",
    )
    assert "no release" in ask(old.root, rings(old.keyring)).reason


# --- packages that are none ---


def ar(**members: bytes) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts += [f"{name.replace('__', '.'):<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode(), data]
        parts.append(b"\n" * (len(data) % 2))
    return b"".join(parts)


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as opened:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(text) if kind == tarfile.REGTYPE else 0
            info.linkname = text.decode() if kind != tarfile.REGTYPE else ""
            opened.addfile(info, io.BytesIO(text))
    return made.getvalue()


CONTROL = tar(("./control", tarfile.REGTYPE, b"Package: x\n"))
DATA = tar(("./a", tarfile.REGTYPE, b"text"))
NONE = {
    "empty": b"",
    "no-archive": b"PK\3\4" * 20,
    "cut": ar(control__tar=CONTROL, data__tar=DATA)[:-2000],
    "a-header-that-is-none": b"!<arch>\n" + b"x" * 60,
    "a-size-that-is-none": b"!<arch>\n" + f"{'data.tar':<16}{0:<12}{0:<6}{0:<6}{0:<8}{'-1':<10}`\n".encode(),
    "no-data": ar(control__tar=CONTROL),
    "no-control": ar(data__tar=DATA),
    "a-packing-nobody-knows": ar(control__tar=CONTROL, data__tar__lzo=DATA),
    "damaged-xz": ar(control__tar=CONTROL, data__tar__xz=b"\xfd7zXZ\0" + bytes(50)),
    "a-path-out-of-it": ar(control__tar=CONTROL, data__tar=tar(("./../etc/passwd", tarfile.REGTYPE, b"x"))),
    "a-device": ar(control__tar=CONTROL, data__tar=tar(("./null", tarfile.CHRTYPE, b""))),
    "a-hard-link-to-nothing": ar(control__tar=CONTROL, data__tar=tar(("./a", tarfile.LNKTYPE, b"./b"))),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_package_is_one_sentence(name):
    with pytest.raises(deb.BadPackageError) as told:
        deb.read(io.BytesIO(NONE[name]), "")
    assert "\n" not in str(told.value)


def test_what_unpacks_to_too_much_ends_there(monkeypatch):
    monkeypatch.setattr(deb, "SIZE_LIMIT", 11_000)
    packed = gzip.compress(tar(("./zeros", tarfile.REGTYPE, bytes(1_000_000))))
    with pytest.raises(deb.BadPackageError, match="more than it may"):
        deb.read(io.BytesIO(ar(control__tar=CONTROL, data__tar__gz=packed)), "")


def test_a_hard_link_is_the_file_that_it_is():
    data = tar(("./a", tarfile.REGTYPE, b"text"), ("./b", tarfile.LNKTYPE, b"./a"))
    found = deb.read(io.BytesIO(ar(control__tar=CONTROL, data__tar=data)), "")
    assert found.members[b"/b"] == found.members[b"/a"]


# --- the documentation ---


def test_the_policy_in_the_documentation_is_one(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "updates.yaml").write_text(example)
    verified, claimed = load_policy(["updates.yaml"], tmp_path).rules
    assert verified.proven
    assert verified.passes
    assert not claimed.passes


BAD = {
    "claimed": ("transaction: {level: claimed}", "action: explain", "only level verified lets pass"),
    "expected": ("transaction: {package: a}", "expect: growing", "explained or not"),
    "a-session": ("transaction: {package: a}\n      session: {user: a}", "action: explain", "no session comes of"),
    "a-level": ("transaction: {level: certain}", "action: explain", "level"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_rule_that_asks_for_nonsense_is_one_sentence_with_its_line(tmp_path, name):
    match, outcome, said = BAD[name]
    rule = f"  - id: x\n    match:\n      {match}\n    {outcome}\n    because: so\n"
    (tmp_path / "x.yaml").write_text(f"schema: driftd.policy/1\nname: x\nrules:\n{rule}")
    with pytest.raises(BadInput, match=r"x\.yaml:\d+: ") as told:
        load_policy(["x.yaml"], tmp_path)
    assert said in str(told.value)
