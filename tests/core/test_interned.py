"""An answer that is held against an image's tree while it comes is the same fingerprint as one that is parsed whole."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import baked, bodies, directory, file, grown, names, trees

from driftd.core import drift, interned, merkle
from driftd.core.arriving import Limits
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.interned import Alike, Interned
from driftd.probe import wire

NONCE = b"n" * 16


def held(entries):
    """What each directory holds, in the order in which a walk comes to it."""
    found = {}
    for one in entries:
        found.setdefault(wire.parent(one.path) if one.path != b"/" else b"", []).append(one)
    return found


def groups(entries):
    found = {}
    for one in entries:
        if one.same:
            found.setdefault(one.same, []).append(one.path)
    return sorted(sorted(paths) for paths in found.values())


def stream(blocks, links=(), entries=None, together=1 << 30):
    """An answer; ``together`` is how many blocks are in a frame."""
    blocks = list(blocks)
    encoder = wire.Encoder()
    parts = [encoder.start(), encoder.message(wire.HELLO, {b"nonce": NONCE, b"schema": wire.SCHEMA})]
    for number, block in enumerate(blocks, 1):
        parts += [encoder.block(block), *([] if number % together else [encoder.flush()])]
    parts.append(encoder.flush())
    if links:
        parts.append(encoder.message(wire.LINKS, list(links)))
    number = sum(len(wire.decode_block(one)[1]) for one in blocks) if entries is None else entries
    counts = {b"entries": number, b"links": sum(map(len, links)), b"bytes_hashed": 0}
    return b"".join([*parts, encoder.finish(counts | dict.fromkeys((b"unreadable", b"covered", b"mounted"), 0))])


def blocks_of(entries, size=wire.BLOCK_ENTRIES, *, afterwards=False):
    """As looks send them: some send a directory's directories ``afterwards``, in blocks of their own."""
    for path, those in held(entries).items():
        rows = sorted(those, key=lambda one: wire.basename(one.path))
        if afterwards:
            rows.sort(key=lambda one: one.kind == wire.DIRECTORY)
        for at in range(0, len(rows), size):
            yield wire.encode_block(path, rows[at : at + size])


def read(data, image=None) -> Fingerprint | Unseen:
    reader = Reader(NONCE, (), image=image)
    reader.feed(data)
    return reader.finish()


@st.composite
def changed(draw, tree):
    """The tree with names gone, come and changed; hard links as they may be."""
    entries = {one.path: one._replace(same=b"") for one in tree}
    for path in draw(st.lists(st.sampled_from(sorted(entries)), max_size=3)):
        if path != b"/" and path in entries:
            for gone in [one for one in entries if one == path or one.startswith(path + b"/")]:
                del entries[gone]
    for _ in range(draw(st.integers(0, 4))):
        above = draw(st.sampled_from([path for path, one in entries.items() if one.kind == wire.DIRECTORY]))
        path = wire.join(above, draw(names))
        if path not in entries or entries[path].kind != wire.DIRECTORY:
            entries[path] = draw(bodies(path))
    for path in draw(st.lists(st.sampled_from(sorted(entries)), max_size=3)):
        entries[path] = entries[path]._replace(mode=draw(st.integers(0, 0o7777)))
    alike = sorted(path for path, one in entries.items() if one.kind != wire.DIRECTORY)
    links = sorted(draw(st.sets(st.sampled_from(alike), max_size=4))) if alike else []
    links = links or [one.path for one in tree if one.same and one.path in alike]
    if len(links) > 1:
        entries |= {path: entries[path]._replace(same=links[0]) for path in links}
    return tuple(entries[path] for path in sorted(entries))


@given(st.data(), trees(), st.integers(1, 5), st.booleans(), st.integers(1, 4))
def test_both_ways_see_the_same(data, tree, size, afterwards, together):
    """Also when frames are known from answers that came before."""
    now, image = data.draw(changed(tree)), Interned(tree)
    blocks = list(blocks_of(now, size, afterwards=afterwards))
    blocks = data.draw(st.permutations(list(blocks_of(now)))) if size == 5 else blocks
    came = stream(blocks, groups(now), together=together)
    plain = read(came)
    assert isinstance(plain, Fingerprint)
    read(stream(blocks_of(tree, size, afterwards=afterwards), groups(tree), together=together), image)
    for _ in range(2):
        against = read(came, image)
        assert against == plain
    assert plain.entries == now
    assert against.root == merkle.root(now)
    was, there = {one.path: one for one in tree}, {one.path: one for one in now}
    unlike = {path: there.get(path) for path in was.keys() | there.keys() if was.get(path) != there.get(path)}
    assert against.apart.changes == unlike


@given(st.data(), trees())
def test_both_ways_differ_alike_from_the_manifest(data, tree):
    made = replace(baked(), entries=tree)
    now = data.draw(changed(tree))
    came = read(stream(blocks_of(now), groups(now)), made.tree)
    assert came.apart.base is made.entries
    assert drift.compare(made, came) == drift.compare(made, replace(came, apart=None))


IMAGE = grown(*(file(b"/d/%03d" % number, b"x") for number in range(9)), file(b"/e/f", b"y"), directory(b"/empty"))
TREE = Interned(IMAGE)


def test_nothing_is_parsed_of_what_is_as_in_the_image(monkeypatch):
    came = stream(blocks_of(IMAGE, 4, afterwards=True))
    monkeypatch.setattr(wire, "decode_block", None)
    seen = read(came, TREE)
    assert seen.entries is IMAGE
    assert seen.apart.changes == {}


def test_a_frame_that_came_before_is_not_inflated_again(monkeypatch):
    came, image = stream(blocks_of(IMAGE, 2), together=2), Interned(IMAGE)
    first = read(came, image)
    monkeypatch.setattr(wire, "blocks", None)
    assert read(came, image) == first


def test_a_frame_that_came_before_counts_where_it_follows_on_and_nowhere_else():
    """Its rows are the image's, at another place or twice."""
    image = Interned(IMAGE)
    blocks = list(blocks_of(IMAGE, 2))
    read(stream(blocks, together=1), image)
    for number in range(len(blocks)):
        without = [*blocks[:number], *blocks[number + 1 :]]
        twice = [*blocks, blocks[number]]
        for wrong in (without, twice):
            assert read(stream(wrong, together=1), image) == read(stream(wrong, together=1), Interned(IMAGE))
        assert isinstance(read(stream(twice, together=1), image), Unseen)


def test_frames_that_came_count_against_the_limits():
    came, image = stream(blocks_of(IMAGE, 2), together=2), Interned(IMAGE)
    read(came, image)
    for limits in (Limits(entries=len(IMAGE) - 1), Limits(bytes=100)):
        reader = Reader(NONCE, (), limits, image)
        reader.feed(came)
        assert "more than" in reader.finish().reason


def test_no_instance_fills_the_memory_with_frames(monkeypatch):
    monkeypatch.setattr(interned, "ROWS_KEPT", 10)
    image = Interned(IMAGE)
    for number in range(100):
        image.keep(b"%d" % number, Alike(((b"/d", 0, 1), (b"/e", 0, 1)), 1, 1))
    assert [image.alike(b"%d" % number) is not None for number in (0, 96, 97, 99)] == [False, False, True, True]


@pytest.mark.parametrize(("size", "afterwards"), [(3, False), (9, False), (4096, False), (4096, True)])
def test_a_directory_that_stands_twice_is_refused(size, afterwards):
    blocks = list(blocks_of(IMAGE, size, afterwards=afterwards))
    for number in range(len(blocks)):
        seen = read(stream([*blocks, blocks[number]]), TREE)
        assert isinstance(seen, Unseen)
        assert "stands twice" in seen.reason


@pytest.mark.parametrize("size", [3, 4096])
def test_what_did_not_come_is_gone(size):
    blocks = [one for one in blocks_of(IMAGE, size) if b"/d" not in one[:6]]
    seen = read(stream(blocks), TREE)
    assert {path for path, now in seen.apart.changes.items() if now is None} == {
        one.path for one in IMAGE if one.path.startswith(b"/d/")
    }
    left = [one for one in IMAGE if not one.path.startswith(b"/d/")]
    assert (list(seen.entries), seen.root) == (left, merkle.root(left))


@pytest.mark.parametrize("gone", [b"/d", b"/"])
def test_names_without_their_directory_are_refused(gone):
    blocks = [
        wire.encode_block(path, [one for one in rows if one.path != gone])
        for path, rows in held(IMAGE).items()
        if path or gone != b"/"
    ]
    for image in (None, TREE):
        assert isinstance(read(stream(blocks), image), Unseen)


def test_a_file_that_holds_names_is_refused():
    tree = [one if one.path != b"/d" else file(b"/d") for one in IMAGE]
    for image in (None, TREE):
        seen = read(stream(blocks_of(tree)), image)
        assert isinstance(seen, Unseen)
        assert "holds entries and is no directory" in seen.reason


@pytest.mark.parametrize("lie", [1, 8, 10, 5000])
def test_a_block_that_lies_about_its_number_is_refused(lie):
    blocks = list(blocks_of(IMAGE))
    at = next(number for number, one in enumerate(blocks) if one[4:6] == b"/d")
    wrong = bytearray(blocks[at])
    wrong[6:10] = lie.to_bytes(4, "big")
    for image in (None, TREE):
        assert isinstance(read(stream([*blocks[:at], bytes(wrong), *blocks[at + 1 :]], (), len(IMAGE)), image), Unseen)


def test_two_lies_that_make_up_for_each_other_are_refused():
    blocks = list(blocks_of(IMAGE, 4))
    first, second = (number for number, one in enumerate(blocks) if one[4:6] == b"/d" and one[9] == 4)
    for at, lie in ((first, 3), (second, 5)):
        blocks[at] = blocks[at][:9] + bytes([lie]) + blocks[at][10:]
    for image in (None, TREE):
        assert isinstance(read(stream(blocks, (), len(IMAGE)), image), Unseen)


def test_hard_links_that_came_without_a_file_are_refused():
    for links in ([[b"/e/f", b"/e/g"]], [[b"/d", b"/e"]]):
        for image in (None, TREE):
            assert isinstance(read(stream((blocks_of(IMAGE)), links), image), Unseen)
