from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core import merkle
from driftd.probe import wire
from driftd.probe.wire import Entry


def made(path: bytes, kind: bytes, mode: int = 0o644) -> Entry:
    content = hashlib.sha256(b"hi").digest() if kind == b"f" else b""
    return Entry(path, kind, mode, 0, 0, 2 if kind == b"f" else 0, content, b"", (0, 0), ())


TREE = [
    made(b"/", b"d", 0o755),
    made(b"/etc", b"d", 0o755),
    made(b"/etc-old", b"f"),
    made(b"/etc/hosts", b"f"),
    made(b"/etc/x", b"d"),
]


def recomputed(path: bytes) -> bytes:
    """As docs/wire.md tells it, from the top down."""
    entry = next(e for e in TREE if e.path == path)
    if entry.kind != b"d":
        return hashlib.sha256(b"driftd-entry/2\0" + wire.encode_body(entry) + bytes(4)).digest()
    text = b"driftd-tree/2\0" + wire.encode_body(entry)
    for child in sorted(e.path for e in TREE if e.path != b"/" and wire.parent(e.path) == path):
        name = child.rpartition(b"/")[2]
        text += len(name).to_bytes(2, "big") + name + recomputed(child)
    return hashlib.sha256(text).digest()


def test_a_stranger_computes_the_same_root() -> None:
    assert merkle.root(TREE) == recomputed(b"/")


def test_the_test_vectors_of_the_document() -> None:
    assert merkle.root(TREE[:1]).hex() == "18ac96742c9b82f96e75a26eedd23f0e7b72c4cdbba9f601f5fc25bd28a3200f"
    assert merkle.root(TREE).hex() == "1e4ff2fc4e0caa1dcf4b4420b0f4331c4150cc35492064c3dece91bae3bf1556"


@given(st.permutations(TREE))
def test_the_order_does_not_matter(entries: list[Entry]) -> None:
    assert merkle.root(entries) == merkle.root(TREE)


@pytest.mark.parametrize("at", range(len(TREE)))
def test_any_change_moves_the_root(at: int) -> None:
    roots = {merkle.root(TREE)}
    for field, value in [("mode", 0o700), ("uid", 1), ("gid", 1), ("xattrs", ((b"user.a", b""),))]:
        roots.add(merkle.root([*TREE[:at], TREE[at]._replace(**{field: value}), *TREE[at + 1 :]]))
    assert len(roots) == 5


def test_an_addition_moves_the_root_and_so_does_a_removal() -> None:
    roots = {merkle.root(TREE), merkle.root([*TREE, made(b"/new", b"p")]), merkle.root(TREE[:-1])}
    roots |= {merkle.root([*TREE[:-1], made(b"/etc/y", b"d")]), merkle.root([*TREE[:-1], made(b"/x", b"d")])}
    assert len(roots) == 5


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "no entry for the root"),
        (TREE[1:], "is not there|no entry for the root"),
        ([*TREE, TREE[2]], "twice"),
        ([*TREE, made(b"/no/x", b"f")], "is not there"),
        ([*TREE, made(b"/etc-old/x", b"f")], "no directory"),
        ([*TREE, made(b"new", b"f")], "no absolute path"),
        ([*TREE, made(b"'etc/new", b"f")], "no absolute path"),  # it sorts before the root
        ([*TREE, made(b"", b"d")], "no absolute path"),
    ],
)
def test_what_is_no_tree_has_no_root(entries: list[Entry], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        merkle.root(entries)
