"""An exported manifest, and NetBSD's mtree and bsdtar reading it: mtree agrees with driftd, up to what is stated."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agreeing import BLIND, covers, within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from others import Mtree, Said
from planting import LOUD, LOUD_ROOT, MACHINE, ODD, SILENT, Step, change, clear, paths, plant, write
from seeing import recorded, regrouped, seen, words

from driftd.core import drift, manifest
from driftd.core.classes import Expected
from driftd.core.manifest import Manifest
from driftd.edges.exports import mtree, mtreeimport


class Exported(Mtree):
    """NetBSD's mtree with a specification that driftd wrote."""

    def record(self, made: Manifest | None = None) -> None:
        self._known = paths(self._root)
        self.baked = recorded(self._root)
        self._spec.write_bytes(mtree.project(made or self.baked).text())

    def agree(self) -> Said:
        """Whatever mtree says, driftd says; what only driftd says is what the export has no place for."""
        now, theirs = seen(self._root), self.compare()
        said, groups = words(self.baked, now), regrouped(self.baked, now)
        for path, fields in theirs.items():
            missed = {one for one in fields if not covers(one, path, said, groups)}
            assert not missed, f"mtree sees {missed} of {path!r}; driftd says {said.get(path)}"
        for path, fields in said.items():
            told = theirs.get(path, set())
            if "kind" not in told and not within(path, said, theirs):
                more = {one for one in fields - told if not (one == "mode" and "acl" in fields)}
                assert {("mtree", one) for one in more} <= BLIND.keys(), f"only driftd sees {more} of {path!r}"
        return theirs


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    place = Path(tmp_path_factory.mktemp("exported"))
    made = Exported(os.fsencode(place) + b"/tree", place)
    try:
        plant(made._root)
        made.record()
        yield made
    finally:
        clear(made._root)


@pytest.fixture
def tree(exported: Exported) -> bytes:
    """The tree, planted anew."""
    clear(exported._root)
    plant(exported._root)
    return exported._root


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Exported]:
    """A tree and a specification of one test's own."""
    made = Exported(os.fsencode(tmp_path) + b"/tree", tmp_path)
    plant(made._root)
    yield made
    clear(made._root)


LOUDEST = {**LOUD, **LOUD_ROOT} if MACHINE else LOUD
steps = st.tuples(
    st.sampled_from(sorted([*LOUDEST, *SILENT])),
    st.integers(0, 4000),
    st.one_of(
        st.sampled_from(ODD),
        st.binary(min_size=1, max_size=255).filter(
            lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")
        ),
    ),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=1, max_size=8))
def test_mtree_agrees_with_driftd(exported: Exported, plan: list[Step]) -> None:
    clear(exported._root)
    plant(exported._root)
    for step in plan:
        change(exported._root, step)
    exported.agree()


def test_mtree_is_silent_of_the_tree_that_was_baked(exported: Exported, tree: bytes) -> None:
    assert len(paths(tree)) > 55
    run = subprocess.run(["mtree", "-f", exported._spec, "-p", tree], capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    (Path(os.fsdecode(tree)) / "etc/passwd").write_text("eve")
    assert subprocess.run(["mtree", "-f", exported._spec, "-p", tree], capture_output=True, check=False).returncode == 2


# A change of these alone is one that the export has no place for.
UNSEEN = {"attribute", "attribute-gone", "access-list", "default-list", "capability", "trusted", "immutable"}
UNSEEN |= {"append-only", "mutable"}


@pytest.mark.parametrize("verb", [*LOUD, *(pytest.param(verb, marks=pytest.mark.machine) for verb in LOUD_ROOT)])
def test_every_single_change_that_the_format_can_tell_is_told(exported: Exported, tree: bytes, verb: str) -> None:
    for number in range(3, 90):
        if change(tree, (verb, number, b"new \n\xfe")) and drift.compare(exported.baked, seen(tree)):
            break
    else:
        pytest.fail(f"nothing that {verb} does is seen")
    assert bool(exported.agree()) == (verb not in UNSEEN or verb == "access-list")


def test_bsdtar_reads_the_same_names(own: Exported) -> None:
    os.unlink(own._root + b"/var/special/socket")  # it knows none, takes it for a file and says so
    own.record()
    listed = subprocess.run(["bsdtar", "-tf", own._spec], capture_output=True, check=True)
    assert listed.stdout.count(b"\n") == len(own.baked.entries) == len(paths(own._root))
    words = ["bsdtar", "-cf", "-", "--format=mtree", "--options", "mtree:sha256", f"@{own._spec}"]
    again = subprocess.run(words, capture_output=True, check=True).stdout
    for was, now in zip(own.baked.entries, mtreeimport.take(again, "tree", partial=True).manifest.entries, strict=True):
        assert now._replace(sha256=was.sha256, flags=was.flags) == was._replace(xattrs=(), same=b"")


# --- classes ---------------------------------------------------------------------------------------------------------


def classed(exported: Exported, **classes: str) -> None:
    given = {b"/" + path.replace("__", "/").encode(): Expected(*word.split(":")) for path, word in classes.items()}
    exported.record(manifest.classified(recorded(exported._root), given))


@pytest.mark.parametrize("word", ["presence", "template:hex32", "firstboot", "variable", "growing", "rotated"])
def test_content_that_may_differ_is_not_held_and_all_else_is(own: Exported, word: str) -> None:
    classed(own, etc__passwd=word)
    assert own.compare() == {}
    write(own._root + b"/etc/passwd", b"something else")
    assert own.compare() == {}
    os.chmod(own._root + b"/etc/passwd", 0o666)
    assert own.compare() == {b"/etc/passwd": {"mode"}}
    os.unlink(own._root + b"/etc/passwd")
    assert own.compare() == {b"/etc/passwd": {"removed"}}


def test_what_is_ephemeral_may_be_gone(own: Exported) -> None:
    classed(own, etc__passwd="ephemeral")
    os.unlink(own._root + b"/etc/passwd")
    assert own.compare() == {}
    os.mkdir(own._root + b"/etc/passwd")
    assert "kind" in own.compare()[b"/etc/passwd"]


def test_an_open_directory_that_held_nothing_takes_anything(own: Exported) -> None:
    classed(own, empty="open-dir")
    os.makedirs(own._root + b"/empty/new/deep")
    write(own._root + b"/empty/file", b"")
    assert own.compare() == {}
    os.chmod(own._root + b"/empty", 0o777)
    # mtree does not hold what it ignores against anything, its mode neither.
    assert own.compare() in ({}, {b"/empty": {"mode"}})


def test_an_open_directory_that_held_something_is_looked_into(own: Exported) -> None:
    classed(own, etc__deep="open-dir")
    write(own._root + b"/etc/deep/new", b"")
    write(own._root + b"/etc/deep/a", b"")
    assert own.compare().keys() == {b"/etc/deep/new", b"/etc/deep/a"}


def test_of_what_is_unknown_nothing_is_said(own: Exported) -> None:
    made = recorded(own._root)
    own.record(replace(made, unknown=(b"/etc", b"/odd/dir\n", b"/later", b"/var/large")))
    clear(own._root + b"/etc")
    os.mkdir(own._root + b"/later")
    write(own._root + b"/later/x", b"")
    write(own._root + b"/odd/dir\n/new", b"")
    os.unlink(own._root + b"/var/large")
    # One of each pair of hard links lay there.
    assert set().union(*own.compare().values()) <= {"same"}


# --- and back --------------------------------------------------------------------------------------------------------

# With access lists it would write their group bits for the mode's.
BSDTAR = ("bsdtar", "--no-acls", "-cf", "-", "--format=mtree", "--options")
WRITERS = {
    "mtree -c": ["mtree", "-c", "-K", "sha256,device", "-p", "."],
    "bsdtar": [*BSDTAR, "mtree:sha256", "."],
    "bsdtar with inodes": [*BSDTAR, "mtree:all", "."],
    "bsdtar with /set": [*BSDTAR, "mtree:use-set,mtree:sha256", "."],
    "bsdtar in the old form": [
        "bsdtar",
        "--no-acls",
        "-cf",
        "-",
        "--format=mtree-classic",
        "--options",
        "mtree:sha256",
        ".",
    ],
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_others_write_of_a_tree_is_what_driftd_sees_of_it(own: Exported, writer: str) -> None:
    said = subprocess.run(WRITERS[writer], cwd=own._root, capture_output=True, check=True)
    made = mtreeimport.take(said.stdout, "tree").manifest
    now = seen(own._root)
    assert drift.compare(made, now) == ()
    assert {entry.path for entry in made.entries} == paths(own._root)
    if "inodes" in writer:
        assert "same" not in made.unshown
        assert [entry.same for entry in made.entries] == [entry.same for entry in now.entries]
    for step in (("flip", 2, b""), ("new-file", 1, b"new"), ("mode", 5, b"")):
        before = drift.compare(made, seen(own._root))
        assert change(own._root, step)
        assert drift.compare(made, seen(own._root)) != before
