"""Layers applied in memory: by the rules one by one, and against what system calls make of random layers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
import unpacking_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging import archive, hard, link, member

from driftd.edges.images import tree
from driftd.edges.images.errors import ImageError
from driftd.edges.images.layers import Layers
from driftd.edges.images.tarball import TarReader
from driftd.probe import wire
from driftd.probe.links import Links
from driftd.probe.tally import Tally
from driftd.probe.tree import scan
from driftd.probe.walk import Walker


class Stream(io.BytesIO):
    def skip(self, count: int, /) -> bool:
        return self.seek(count, io.SEEK_CUR) <= len(self.getbuffer())


def joined(batches) -> dict[bytes, wire.Entry]:
    entries, links = {}, Links()
    for _, batch in batches:
        links.add(batch)
        entries |= {entry.path: entry._replace(same=b"") for entry in batch}
    for group in links.groups():
        entries |= {path: entries[path]._replace(same=group[0]) for path in group}
    return entries


def applied(*layers: bytes) -> dict[bytes, wire.Entry]:
    made = Layers()
    for number, layer in enumerate(layers):
        made.apply(number, TarReader(Stream(layer)), lambda _at, _member: None)
    return joined(tree.batches(made.root))


def paths(*layers: bytes) -> str:
    return " ".join(sorted(os.fsdecode(path) for path in applied(*layers)))


LOWER = archive([member("a/"), member("a/one", b"1"), member("a/sub/"), member("a/sub/x", b"x"), member("b", b"b")])


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([member("a/.wh.one", b"")], "/ /a /a/sub /a/sub/x /b"),
        ([member("a/.wh.sub", b"")], "/ /a /a/one /b"),
        ([member(".wh.a", b"")], "/ /b"),
        ([member(".wh.nothing", b"")], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("nowhere/.wh.nothing", b"")], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("a/.wh..wh..opq", b""), member("a/new", b"")], "/ /a /a/new /b"),
        ([member("a/new", b""), member("a/.wh..wh..opq", b"")], "/ /a /a/new /b"),
        ([member("a/one", b"2"), member("a/.wh.one", b"")], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("a/sub/"), member("a/.wh.sub", b"")], "/ /a /a/one /a/sub /b"),
        ([member(".wh..wh..opq", b"")], "/"),
        ([member(".wh..wh..opq", b""), member("c", b"")], "/ /c"),
        ([member("b/")], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("a", b"a file now")], "/ /a /b"),
        ([link("a", "b")], "/ /a /b"),
        ([member("a/sub/", mode=0o700)], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("new/deep/file", b"")], "/ /a /a/one /a/sub /a/sub/x /b /new /new/deep /new/deep/file"),
        ([member("./a//one", b"2")], "/ /a /a/one /a/sub /a/sub/x /b"),
        ([member("/a/two", b"2")], "/ /a /a/one /a/sub /a/sub/x /a/two /b"),
    ],
)
def test_what_a_layer_does_to_the_one_below(upper, left: str):
    assert paths(LOWER, archive(upper)) == left


def test_what_is_hidden_once_may_come_again_and_stays_what_it_became():
    assert paths(LOWER, archive([member(".wh.a", b"")]), archive([member("a/two", b"")])) == "/ /a /a/two /b"


def test_a_directory_that_is_only_implied_is_roots_and_a_described_one_keeps_what_it_holds():
    entries = applied(archive([member("a/b", b""), member("a/", mode=0o700, uid=7)]), archive([member("a/c", b"")]))
    assert entries[b"/a"][2:4] == (0o700, 7)
    entries = applied(archive([member("x/y", b"", uid=9)]))
    assert entries[b"/x"][2:5] == (0o755, 0, 0)
    assert entries[b"/"][2:5] == (0o755, 0, 0)
    assert applied(archive([member("./", mode=0o711, gid=3)]))[b"/"][2:5] == (0o711, 0, 3)


def test_hard_links_hold_across_layers_until_one_of_them_is_replaced():
    lower = archive([member("a", b"1"), hard("b", "a"), hard("c", "./b")])
    assert {entry.same for entry in applied(lower).values()} == {b"", b"/a"}
    assert applied(lower, archive([hard("b", "a")])) == applied(lower)
    linked = applied(lower, archive([hard("d/e", "/c")]))
    assert {path for path, entry in linked.items() if entry.same} == {b"/a", b"/b", b"/c", b"/d/e"}
    replaced = applied(lower, archive([member("a", b"2")]))
    assert {path: entry.same for path, entry in replaced.items()}[b"/a"] == b""
    assert {path for path, entry in replaced.items() if entry.same == b"/b"} == {b"/b", b"/c"}
    alone = applied(lower, archive([member(".wh.b", b""), member("c", b"3")]))
    assert not any(entry.same for entry in alone.values())


def test_links_on_the_way_lead_nowhere_but_into_the_image():
    merged = archive([member("usr/lib/"), link("lib", "usr/lib"), link("out", "../../../../etc"), link("abs", "/usr")])
    upper = archive([member("lib/x", b""), member("out/passwd", b"theirs"), member("abs/y", b"")])
    assert paths(merged, upper) == "/ /abs /etc /etc/passwd /lib /out /usr /usr/lib /usr/lib/x /usr/y"
    assert paths(merged, upper, archive([member("lib/.wh.x", b"")])).count("/usr/lib/x") == 0


ATTACKS = {
    "leads out": [member("../etc/passwd", b"")],
    "leads out in the middle": [member("a/../../etc/passwd", b"")],
    "a hard link out": [hard("a", "../../etc/shadow")],
    "a hard link to nothing": [hard("a", "etc/shadow")],
    "a hard link to itself": [member("a", b""), hard("a", "a")],
    "a hard link to what it replaces": [member("a/b/c", b""), hard("a", "a/b/c")],
    "a hard link to a directory": [member("d/"), hard("a", "d")],
    "a hard link to the root": [hard("a", "./")],
    "the root as a file": [member(".", b"")],
    "the root as a link": [link(".", "/etc")],
    "the root as a hard link": [member("a", b""), hard(".", "a")],
    "links in a circle": [link("a", "b"), link("b", "a"), member("a/c", b"")],
    "below a file": [member("a", b""), member("a/b", b"")],
    "hides nothing": [member(".wh.", b"")],
    "hides where it stands": [member("a/.wh..", b"")],
    "hides what is above": [member("a/.wh...", b"")],
    "hides a name that none can have": [member(".wh..wh.x", b"")],
    "below what hides": [member(".wh.a/b", b"")],
    "a name that is too long": [member("n" * 256, b"")],
    "no name": [member("", b"")],
    "a link to nothing": [link("a", "")],
    "an owner that cannot be": [member("a", b"", uid=1 << 32)],
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_hostile_layer_is_one_sentence(attack):
    with pytest.raises(ImageError, match=r"^[^\n]+$") as caught:
        applied(archive(attack, tarfile.GNU_FORMAT))
    assert caught.value.hint


def test_more_names_than_are_read_are_refused(monkeypatch):
    monkeypatch.setattr("driftd.edges.images.layers.MEMBERS_LIMIT", 3)
    with pytest.raises(ImageError, match="more than is read"):
        applied(archive([member(f"a{number}", b"") for number in range(4)]))
    monkeypatch.setattr("driftd.edges.images.layers.MEMBERS_LIMIT", 100)
    monkeypatch.setattr("driftd.edges.images.layers.KEPT_LIMIT", 1000)
    with pytest.raises(ImageError, match="more than is read"):
        applied(archive([member("a", b"", pax_headers={"SCHILY.xattr.user.x": "v" * 1000})]))


def test_the_book_keeping_of_overlayfs_is_no_part_of_a_tree():
    headers = {"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.a": "b\0\n\udcff"}
    entries = applied(archive([member("d/", pax_headers=headers)]))
    assert entries[b"/d"].xattrs == ((b"user.a", b"b\0\n\xff"),)


# --- random layers ---------------------------------------------------------------------------------------------------

steps = st.sampled_from(["a", "b", "c", "l"])
names = st.lists(steps, min_size=1, max_size=3).map("/".join)
targets = st.one_of(names, names.map(lambda name: "/" + name), st.sampled_from([".", "..", "../a", "l/b", "/", "./c"]))
rows = st.one_of(
    st.tuples(names, st.just("file"), st.text("xyz", max_size=3), st.sampled_from([0o644, 0o4755]), st.integers(0, 2)),
    st.tuples(names, st.just("dir"), st.just(""), st.sampled_from([0o755, 0o1777]), st.integers(0, 2)),
    st.tuples(names, st.just("link"), targets, st.just(0o777), st.integers(0, 2)),
    st.tuples(names, st.just("fifo"), st.just(""), st.just(0o600), st.just(0)),
    st.tuples(names, st.just("hard"), names, st.just(0), st.just(0)),
    st.tuples(st.lists(steps, max_size=2), steps).map(
        lambda two: ("/".join([*two[0], ".wh." + two[1]]), "file", "", 0o644, 0)
    ),
    st.lists(steps, max_size=2).map(lambda some: ("/".join([*some, ".wh..wh..opq"]), "file", "", 0o644, 0)),
)
KINDS = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE, "hard": tarfile.LNKTYPE}


def layer(of: list[tuple]) -> bytes:
    made = []
    for name, kind, what, mode, uid in of:
        more = {"mode": mode, "uid": uid, "gid": uid, "type": KINDS.get(kind, tarfile.REGTYPE)}
        if kind in ("link", "hard"):
            more["linkname"] = what
        made.append(member(name, what.encode() if kind == "file" else b"", **more))
    return archive(made)


@pytest.mark.machine
@settings(max_examples=100)
@given(st.lists(st.lists(rows, min_size=1, max_size=6), min_size=1, max_size=3))
def test_random_layers_are_what_unpacking_them_makes(layers):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as where:
        root = Path(where) / "root"
        root.mkdir(mode=0o755)
        done = subprocess.run(
            [sys.executable, "-S", unpacking_reference.__file__, root],
            input=json.dumps(layers).encode(),
            capture_output=True,
            check=False,
        )
        assert done.stderr == b""
        if done.returncode:
            with pytest.raises(ImageError):
                applied(*map(layer, layers))
            return
        expected = joined(scan(os.fsencode(root), Tally(), walker=Walker))
    assert applied(*map(layer, layers)) == expected
