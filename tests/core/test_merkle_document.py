"""docs/merkle.md and its vectors: computed again here from its words alone, and compared with what the code says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core import merkle
from driftd.core.classes import Expected
from driftd.probe import stats
from driftd.probe.wire import Entry

TEXT = (Path(__file__).parents[2] / "docs/merkle.md").read_text(encoding="utf-8")
VECTORS = json.loads(re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]  # it is there
Row = dict[str, Any]


def number(value: int, size: int) -> bytes:
    return (value % 256**size).to_bytes(size, "big")


def text(value: bytes, size: int) -> bytes:
    return number(len(value), size) + value


def body(row: Row) -> bytes:
    """By docs/wire.md."""
    data = row["kind"].encode() + number(int(row["mode"], 8), 2)
    data += number(row.get("uid", 0), 4) + number(row.get("gid", 0), 4) + number(row.get("flags", 0), 1)
    if row["kind"] == "f":
        data += number(row.get("size", 0), 8) + text(bytes.fromhex(row.get("sha256", "")), 1)
    if row["kind"] == "l":
        data += text(row["target"].encode(), 4)
    if row["kind"] in "cb":
        data += number(row["rdev"][0], 4) + number(row["rdev"][1], 4)
    attributes = row.get("xattrs", [])
    data += number(len(attributes), 2)
    return data + b"".join(text(name.encode(), 2) + text(bytes.fromhex(value), 4) for name, value in attributes)


def content_digest(rows: list[Row], at: str) -> bytes:
    (row,) = (one for one in rows if one["path"] == at)
    if row["kind"] != "d":
        return hashlib.sha256(b"driftd-entry/2\0" + body(row) + text(row.get("same", "").encode(), 4)).digest()
    whole = b"driftd-tree/2\0" + body(row)
    prefix = at.rstrip("/") + "/"
    names = [one["path"][len(prefix) :] for one in rows if one["path"].startswith(prefix) and one["path"] != "/"]
    for name in sorted(name.encode() for name in names if "/" not in name):
        whole += text(name, 2) + content_digest(rows, prefix + name.decode())
    return hashlib.sha256(whole).digest()


def stat_row(row: Row) -> bytes:
    data = number(int(row["mode"], 8), 4) + b"".join(number(row[key], 8) for key in ("inode", "device", "links"))
    data += number(row["uid"], 4) + number(row["gid"], 4) + number(row["size"], 8) + number(row["rdev"], 8)
    return data + number(row["mtime"], 8) + number(row["ctime"], 8)


def stat_directory(one: Row) -> tuple[int, bytes]:
    """Bucket and digest."""
    opening = b"driftd-stat/2\0" + one["point"].encode() + b"\0" + one["path"].encode() + b"\0"
    names = b"\0".join(row["name"].encode() for row in one["names"]) + b"\0\0"
    whole = hashlib.sha256(opening + names + b"".join(map(stat_row, one["names"]))).digest()
    return hashlib.sha256(opening).digest()[0], whole[:16]


def stat_root(vector: Row) -> bytes:
    data = b"driftd-stat-root/2\0" + bytes.fromhex(vector["around"])
    held = [stat_directory(one) for one in vector["directories"]]
    for at in range(256):
        digests = sorted(digest for bucket, digest in held if bucket == at)
        data += hashlib.sha256(b"driftd-stat-bucket/2\0" + b"".join(digests)).digest()[:16]
    return hashlib.sha256(data).digest()


def entry(row: Row) -> Entry:
    return Entry(
        row["path"].encode(),
        row["kind"].encode(),
        int(row["mode"], 8),
        row.get("uid", 0),
        row.get("gid", 0),
        row.get("size", 0),
        bytes.fromhex(row.get("sha256", "")),
        row.get("target", "").encode(),
        tuple(row.get("rdev", (0, 0))),  # type: ignore[arg-type]  # two of them
        tuple((name.encode(), bytes.fromhex(value)) for name, value in row.get("xattrs", [])),
        row.get("flags", 0),
        row.get("same", "").encode(),
    )


STATS = ("mode", "inode", "device", "links", "uid", "gid", "size", "rdev", "mtime", "ctime")


def stat_result(row: Row) -> tuple[int, ...]:
    return tuple(int(row[key], 8) if key == "mode" else row[key] for key in STATS)


def ours(one: Row) -> bytes:
    names = [row["name"].encode() for row in one["names"]]
    return stats.directory(one["point"].encode(), one["path"].encode(), names, [stat_result(r) for r in one["names"]])


@pytest.mark.parametrize("at", range(len(VECTORS["content"])))
def test_the_content_trees_of_the_document(at: int) -> None:
    vector = VECTORS["content"][at]
    assert content_digest(vector["entries"], "/").hex() == vector["root"]
    assert merkle.root(map(entry, vector["entries"])).hex() == vector["root"]


def closed_digest(rows: list[Row], at: str) -> bytes | None:
    (row,) = (one for one in rows if one["path"] == at)
    own = row["class"] == "exact"
    if row["kind"] != "d":
        if own:
            return content_digest(rows, at)
        return hashlib.sha256(b"driftd-presence/1\0" + row["kind"].encode()).digest() * (row["class"] == "presence")
    prefix = at.rstrip("/") + "/"
    names = [one["path"][len(prefix) :] for one in rows if one["path"].startswith(prefix) and one["path"] != "/"]
    held = b""
    for name in sorted(name.encode() for name in names if "/" not in name):
        digest = closed_digest(rows, prefix + name.decode())
        held += text(name, 2) + digest if digest else b""
    if own:
        return hashlib.sha256(b"driftd-tree/2\0" + body(row) + held).digest()
    member = held or row["class"] == "presence" or at == "/"
    return hashlib.sha256(b"driftd-presence-tree/1\0" + held).digest() if member else None


def classes(rows: list[Row]) -> dict[bytes, Expected]:
    given = {row["path"].encode(): Expected(row["class"]) for row in rows}
    return {path: one for path, one in given.items() if one.expect != "exact"}


@pytest.mark.parametrize("at", range(len(VECTORS["closed"])))
def test_the_closed_trees_of_the_document(at: int) -> None:
    vector = VECTORS["closed"][at]
    rows = vector["entries"]
    assert (closed_digest(rows, "/") or b"").hex() == vector["root"]
    assert merkle.roots(map(entry, rows), classes(rows))[1].hex() == vector["root"]


def test_of_the_closed_tree_only_members_move_the_root() -> None:
    rows = VECTORS["closed"][0]["entries"]
    before = merkle.roots(map(entry, rows), classes(rows))
    # What is there alone counts may differ in all but its kind; what is neither may even be gone.
    for path, change in (
        ("/etc/id", {"size": 9, "sha256": "ab" * 32}),
        ("/etc/id", None),
        ("/run", None),
        ("/srv/l", {"target": "elsewhere"}),
        ("/srv", {"mode": "0700"}),
        ("/var", {"uid": 7}),
        ("/", {"mode": "0700"}),
    ):
        now = [row | (change or {}) if row["path"] == path else row for row in rows if change or row["path"] != path]
        after = merkle.roots(map(entry, now), classes(now))
        assert after[1] == before[1], path
        assert after[0] != before[0], path
    for path, change in (
        ("/etc/hosts", {"mode": "0600"}),
        ("/srv/l", {"kind": "f"}),
        ("/srv/l", None),
        ("/var/p", None),
        ("/etc", {"gid": 7}),
    ):
        now = [row | (change or {}) if row["path"] == path else row for row in rows if change or row["path"] != path]
        assert merkle.roots(map(entry, now), classes(now))[1] != before[1], path


def test_where_everything_is_exact_both_roots_are_one() -> None:
    for vector in VECTORS["content"]:
        whole, closed = merkle.roots(map(entry, vector["entries"]))
        assert whole == closed == bytes.fromhex(vector["root"])


@pytest.mark.parametrize("at", range(len(VECTORS["stat"])))
def test_the_stat_trees_of_the_document(at: int) -> None:
    vector = VECTORS["stat"][at]
    buckets: dict[int, list[bytes]] = {}
    for one in vector["directories"]:
        bucket = stats.bucket(one["point"].encode(), one["path"].encode())
        assert stat_directory(one) == (bucket, ours(one)) == (one["bucket"], bytes.fromhex(one["digest"]))
        buckets.setdefault(bucket, []).append(ours(one))
    assert stat_root(vector).hex() == vector["root"]
    assert stats.root(stats.vector(buckets), bytes.fromhex(vector["around"])).hex() == vector["root"]
    (row,) = vector["directories"][2]["names"]
    assert stats.short(stat_result(row)).hex() == vector["short"]["/etc/hosts"]
    assert hashlib.sha256(stat_row(row)).digest()[:8].hex() == vector["short"]["/etc/hosts"]


FIELDS = {
    "mode": "0100600", "uid": 1, "gid": 1, "size": 1, "rdev": 9, "inode": 1, "mtime": 5, "ctime": 5, "links": 7,
    "device": 3, "name": "other",
}  # fmt: skip


@given(st.integers(0, 2), st.sampled_from(sorted(FIELDS)))
def test_any_change_moves_one_directory_and_the_root(at: int, field: str) -> None:
    vector = json.loads(json.dumps(VECTORS["stat"][0]))
    before, root = [ours(one) for one in vector["directories"]], stat_root(vector)
    vector["directories"][at]["names"][0][field] = FIELDS[field]
    after = [ours(one) for one in vector["directories"]]
    assert [number for number in range(4) if before[number] != after[number]] == [at]
    assert stat_root(vector) != root


@given(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70))
def test_times_of_any_size_have_a_row(mtime: int, ctime: int) -> None:
    row = VECTORS["stat"][0]["directories"][2]["names"][0] | {"mtime": mtime, "ctime": ctime}
    assert stats.packed([stat_result(row)]) == stat_row(row)
