"""Looks that cost what changed see what whole looks see, whatever was done to the tree between them."""

import os
import shutil
from dataclasses import replace

import pytest
from glances import Looks, alike, whole

from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.glance.recalled import pack_head, read_head
from driftd.core.glance.talk import REHASH_EVERY, Rehash, Span
from driftd.core.interned import Interned
from driftd.probe import wire


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    for number in range(30):
        directory = root / f"d{number}" / "sub"
        directory.mkdir(parents=True)
        for name in ("a", "b", "c"):
            (directory / name).write_text(f"{number} {name}")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc" / "link").symlink_to("passwd")
    os.link(root / "d1/sub/a", root / "d2/linked")
    return root


@pytest.fixture
def looks(tree):
    image = Interned(whole(tree).entries)
    made = Looks(tree, image)
    first = made.look()
    assert isinstance(first, Fingerprint), first
    assert first.extent is Extent.WHOLE
    alike(first, whole(tree))
    return made


def test_what_did_not_change_is_the_same_in_few_bytes(looks, tree):
    seen = looks.look()
    assert looks.doubted == ""
    assert seen.extent is Extent.SAME
    assert seen.entries is looks.image.entries
    assert seen.coverage.bytes_hashed == 0
    alike(seen, whole(tree))


def test_only_what_moved_is_read(looks, tree):
    (tree / "d3/sub/a").write_text("another")
    seen = looks.look()
    assert looks.doubted == ""
    assert seen.extent is Extent.CHANGES
    assert seen.coverage.bytes_hashed == len("another")
    alike(seen, whole(tree))


def test_a_look_that_moved_nothing_sends_little(looks):
    looks.look()
    assert looks.sent < 82_000  # nearly all of it the program of facts
    assert looks.came < 20_000  # likewise their answer


CHANGES = {
    "a file removed": lambda root: (root / "d4/sub/b").unlink(),
    "a directory removed": lambda root: shutil.rmtree(root / "d4"),
    "a directory that is a file now": lambda root: (shutil.rmtree(root / "d10"), (root / "d10").write_text("x")),
    "a file that is a directory now": lambda root: (
        (root / "d11/sub/b").unlink(),
        (root / "d11/sub/b/c").mkdir(parents=True),
    ),
    "a directory moved": lambda root: (root / "d5").rename(root / "d6" / "moved"),
    "a linked file's directory moved": lambda root: (root / "d1").rename(root / "zz"),
    "a hard link more": lambda root: os.link(root / "d7/sub/a", root / "d8/sub/d"),
    "a hard link less": lambda root: (root / "d2/linked").unlink(),
    "a hard link renamed": lambda root: (root / "d8/sub/d").rename(root / "a-first"),
    "rights": lambda root: (root / "d9/sub/a").chmod(0o4755),
    "the root's rights": lambda root: root.chmod(0o711),
    "an owner": lambda root: os.chown(root / "d9", 7, 8),
    "an attribute": lambda root: os.setxattr(root / "d9/sub/a", "user.a", b"1"),
    "a link's target": lambda root: ((root / "etc/link").unlink(), (root / "etc/link").symlink_to("shadow")),
    "a fifo": lambda root: os.mkfifo(root / "d9/fifo"),
    "the old times again": lambda root: _same_times(root / "d9/sub/a"),
    "as it was": lambda root: ((root / "new").write_text("x"), (root / "new").unlink()),
    "facts": lambda root: (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\neve:x:0:0::/:/bin/sh\n"),
    "nothing readable": lambda root: (root / "d9/sub/a").chmod(0),
    "everything": lambda root: [one.touch() for one in root.rglob("*") if one.is_file()],
}


def _same_times(file):
    before = file.stat()
    file.write_text("9 b")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_change_is_seen_as_a_whole_look_sees_it(looks, tree):
    for name, change in CHANGES.items():
        change(tree)
        seen = looks.look()
        assert looks.doubted == "", name
        assert seen.extent is Extent.CHANGES, name
        alike(seen, whole(tree))


@pytest.mark.parametrize("what", ["head", "names", "both", "cut", "of", "image", "old"])
def test_what_was_kept_and_is_no_good_costs_a_whole_look(looks, tree, what):
    (tree / "d3/sub/a").write_text("another")
    if what == "of":
        looks.of = b"another"
    elif what == "image":
        looks.image = Interned(looks.image.entries[:-1])
    elif what == "old":
        names = looks.names
        looks.look()
        looks.names = names
        (tree / "d3/sub/b").write_text("another")
    else:
        for one in ("head", "names") if what == "both" else ("names" if what == "cut" else what,):
            kept = getattr(looks, one)
            setattr(looks, one, kept[:-9] if what == "cut" else kept[:99] + bytes([kept[99] ^ 1]) + kept[100:])
    seen = looks.look()
    assert seen.extent is Extent.WHOLE
    alike(seen, whole(tree))
    looks.look()
    assert looks.look().extent is Extent.SAME


class Garbled:
    """Damages one byte of the nth stream that comes."""

    def __init__(self, stream, byte):
        self.left, self.byte, self.begun = stream, byte, False

    def __call__(self, data):
        if data[:16] == wire.MAGIC:
            self.left -= 1
        if self.left == -1 and len(data) > self.byte:
            self.left -= 1
            data = data[: self.byte] + bytes([data[self.byte] ^ 1]) + data[self.byte + 1 :]
        return data


@pytest.mark.parametrize(("stream", "byte"), [(0, 17), (0, 60), (1, 25), (1, -10), (2, 60), (3, -10)])
def test_a_damaged_answer_is_never_a_wrong_one(looks, tree, stream, byte):
    (tree / "d3/sub/a").write_text("another")
    looks.hurt, looks.patience = Garbled(stream, byte), 3.0
    seen = looks.look()
    if isinstance(seen, Fingerprint):
        alike(seen, whole(tree))
    looks.hurt, looks.patience = None, 60.0
    alike(looks.look(), whole(tree))


def test_what_is_due_is_read_whatever_its_times_say(looks, tree):
    looks.rehash = Rehash((Span(3600, (b"/d3",)), Span(86400, (b"/",))))
    looks.look()
    assert looks.look().extent is Extent.SAME
    looks.now += REHASH_EVERY
    read = looks.look().coverage.bytes_hashed
    assert 0 <= read < 200
    looks.now += 3600
    assert looks.look().coverage.bytes_hashed >= 9
    looks.now += 86400
    seen = looks.look()
    assert seen.extent is Extent.SAME
    assert seen.coverage.bytes_hashed == whole(tree).coverage.bytes_hashed


def test_a_content_that_moved_no_time_is_found_when_its_turn_comes(looks, tree, monkeypatch):
    """As with a clock that was set back, or a disk that was written to past its file system: here by a kept lie."""
    looks.rehash = Rehash((Span(3600, (b"/",)),))
    looks.look()
    looks.look()
    head = read_head(looks.head)
    path = b"/d3/sub/a"
    lie = looks.image.at(path)._replace(sha256=b"\0" * 32)
    looks.head = pack_head(replace(head, changes={path: lie}))
    assert looks.look().entries != whole(tree).entries
    looks.now += 3600
    seen = looks.look()
    assert seen.extent is Extent.SAME
    alike(seen, whole(tree))


def test_reasons_of_a_moment_are_not_told_again(looks, tree):
    head = read_head(looks.head)
    reasons = {
        "directories that changed while the tree was read": 3,
        "unreadable: changed while read": 1,
        "skipped: x": 2,
    }
    looks.head = pack_head(replace(head, reasons=reasons))
    assert looks.look().coverage.reasons == {"skipped: x": 2, **whole(tree).coverage.reasons}
