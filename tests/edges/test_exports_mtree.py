"""mtree(5): what is written and read back, what is lost on the way, and what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import IMAGE, baked, device, directory, file, grown, link, manifests, package

from driftd.core import drift, manifesttext
from driftd.core.classes import EXACT, Expected
from driftd.core.errors import BadInput
from driftd.core.manifest import Manifest
from driftd.edges.exports import mtree, mtreeimport, vis
from driftd.probe import wire

NOTHING = b". type=dir mode=0755 uid=0 gid=0\n"
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FILE = b"type=file mode=0644 uid=0 gid=0 size=0 sha256=" + EMPTY


def taken(text: bytes, **options) -> Manifest:
    return mtreeimport.take(text, IMAGE, **options).manifest


def entries(text: bytes, **options) -> list[wire.Entry]:
    return list(taken(text, **options).entries)


# --- names -----------------------------------------------------------------------------------------------------------


@given(st.binary())
def test_any_name_survives_as_one_word_of_printable_letters(name):
    word = vis.encode(name)
    assert vis.decode(word) == name
    assert not set(word) - set(range(0x21, 0x7F))
    assert not set(word) & set(b"#*?[")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        (rb"\s\t\n\\\#", b" \t\n\\#"), (rb"\M^?\M-a\^A\^?", b"\xff\xe1\x01\x7f"), (rb"\040\0\1018", b" \0A8"),
        (rb"\E\a\b\f\v\r", b"\x1b\a\b\f\v\r"), (rb"\xff\$", b"\xff"),
    ],
)  # fmt: skip
def test_every_form_of_vis_is_read(word, name):
    assert vis.decode(word) == name


@pytest.mark.parametrize("word", [rb"\q", rb"\777", rb"x" + b"\\", rb"\M"])
def test_what_is_no_form_of_vis_is_refused(word):
    with pytest.raises(ValueError, match="it has an escape"):
        vis.decode(word)


# --- there and back --------------------------------------------------------------------------------------------------


# No link leads to a NUL.
held = manifests().filter(lambda one: all(b"\0" not in entry.target for entry in one.entries))


def below(path: bytes, roots: frozenset[bytes]) -> bool:
    while path != b"/":
        path = wire.parent(path)
        if path in roots:
            return True
    return False


@given(held)
def test_what_comes_back_lacks_exactly_what_is_stated(made):
    projection = mtree.project(made)
    back = mtreeimport.take(projection.text(), made.image)
    unknown = frozenset(made.unknown)
    there = {entry.path: entry for entry in back.manifest.entries}
    for was in made.entries:
        if was.path in unknown or below(was.path, unknown):
            assert was.path not in there or was.path == b"/"
            continue
        now = there.pop(was.path)
        gone = {"xattrs": ()}
        if made.class_of(was.path) != EXACT:
            gone |= {"size": 0, "sha256": b""}
        if "same" in back.manifest.unshown:
            gone["same"] = b""
        if "flags" in back.manifest.unshown:
            assert not any(
                one.flags for one in made.entries if one.path not in unknown and not below(one.path, unknown)
            )
        assert now == was._replace(**gone)
        assert back.manifest.class_of(was.path) == made.class_of(was.path)
    assert set(there) <= {b"/"}
    assert {path for path in unknown if not below(path, unknown)} >= set(back.manifest.unknown)
    assert back.manifest.provisional
    assert "xattr" in back.manifest.unshown
    assert (back.manifest.facts, back.manifest.looked) == ((), ())
    said = "\n".join(projection.losses)
    assert ("extended attribute" in said) == any(entry.xattrs for entry in made.entries)
    assert ("fact" in said) == bool(made.facts)
    assert ("number of names" in said) == any(entry.same for entry in made.entries)
    assert ("size and digest" in said) == any(
        entry.kind == wire.FILE and entry.path in made.classes for entry in made.entries
    )


def test_losses_are_counted():
    two = [file(b"/a", b"x")._replace(same=b"/a"), file(b"/b", b"x")._replace(same=b"/a")]
    made = baked([*two, file(b"/c", xattrs=[(b"user.a", b"1"), (b"user.b", b"2")])], facts=[package("curl")])
    assert mtree.project(made).losses == (
        "mtree: 2 extended attributes are not in this format",
        "mtree: 1 file is told by the number of names (2), not by which they are",
        "mtree: 1 fact is not in this format",
    )


def test_a_line_says_all_there_is_a_keyword_for():
    made = baked([file(b"/new\nline\xff", b"", mode=0o4755)._replace(flags=3), link(b"/l", b"a b"), device(b"/null")])
    lines = mtree.project(made).text().splitlines()
    assert lines[0] == b"#mtree"
    assert [line for line in lines if not line.startswith(b"#")] == [
        b". type=dir mode=0755 uid=0 gid=0",
        b"./l type=link mode=0777 uid=0 gid=0 link=a\\040b",
        b"./new\\012line\\377 type=file mode=4755 uid=0 gid=0 size=0 sha256=" + EMPTY + b" flags=schg,sappnd",
        b"./null type=char mode=0666 uid=0 gid=0 device=native,1,3",
    ]


# --- who else writes it ----------------------------------------------------------------------------------------------

FREEBSD = b"""#\t   user: root
# .
/set type=file uid=0 gid=0 mode=0644 nlink=1 flags=none
.               type=dir mode=0755 nlink=3
    file        size=0 \\
                sha256digest=%s
    immutable   size=0 flags=schg sha256digest=%s # a comment
    q*[x]?\\#\\\\    size=0 sha256digest=%s

# ./sub
/unset mode
sub             type=dir mode=01777 nlink=2
    \\M^?\\sx       mode=0600 type=link link=../\\n
# ./sub
..
    after       mode=0600 size=0 sha256digest=%s
..
""" % (EMPTY, EMPTY, EMPTY, EMPTY)


def test_the_form_of_mtree_c_is_read():
    made = taken(FREEBSD)
    root = [file(b"/after", mode=0o600), file(b"/file"), file(b"/immutable")._replace(flags=wire.IMMUTABLE)]
    sub = [directory(b"/sub", 0o1777), link(b"/sub/\xff x", b"../\n")._replace(mode=0o600)]
    assert made.entries == grown(*root, file(b"/q*[x]?#\\"), *sub)
    assert made.unshown == ("xattr",)  # each file says that it has one name, and one that it has a flag
    assert manifesttext.decode(manifesttext.encode(made)) == made


def test_inodes_tell_which_are_hard_links():
    same = b"%s %s inode=7 resdevice=native,254,0\n"
    text = NOTHING + same % (b"./a", FILE) + same % (b"./b", FILE) + b"./c %s nlink=1\n" % FILE
    assert [entry.same for entry in entries(text)] == [b"", b"/a", b"/a", b""]
    assert "same" not in taken(text).unshown
    assert "same" in taken(text + b"./d %s\n" % FILE).unshown


def test_one_name_that_root_has_everywhere_is_known():
    (_, one) = entries(NOTHING + b"./a " + FILE.replace(b"uid=0 gid=0", b"uname=root gname=root"))
    assert (one.uid, one.gid) == (0, 0)


@pytest.mark.parametrize("number", [b"native,8,300", b"linux,8,300", b"0x10082c", b"1050668", b"04004054"])
def test_devices_are_numbered_in_many_ways(number):
    (_, one) = entries(NOTHING + b"./d type=block mode=0660 uid=0 gid=6 device=%s\n" % number)
    assert one.rdev == (8, 300)


def test_what_is_optional_or_ignored_is_unknown_and_what_does_not_change_is_there():
    text = NOTHING + b"./a %s optional\n./b type=dir mode=0755 uid=0 gid=0 ignore\n./c optional\n" % FILE
    made = mtreeimport.take(text + b"./d %s nochange\n" % FILE, IMAGE)
    assert made.manifest.unknown == (b"/a", b"/b", b"/c")
    assert made.manifest.class_of(b"/d") == Expected("presence")
    assert made.losses[-1] == "mtree: of 3 paths the manifest says nothing (optional or ignored)"


SHORT = {
    "sha256": FILE.replace(b" sha256=" + EMPTY, b""),
    "size": FILE.replace(b" size=0", b""),
    "mode": FILE.replace(b" mode=0644", b""),
    "uid": FILE.replace(b" uid=0", b" uname=eve"),
    "gid": FILE.replace(b" gid=0", b""),
    "link": b"type=link mode=0777 uid=0 gid=0",
    "device": b"type=char mode=0666 uid=0 gid=0",
}


@pytest.mark.parametrize("lacking", SHORT)
def test_what_says_too_little_is_refused_or_unknown(lacking):
    text = NOTHING + b"./a " + SHORT[lacking] + b"\n./b " + FILE
    with pytest.raises(BadInput, match=rf"1 entry lacks .* the first /a \(line 2\): {lacking}") as refused:
        taken(text)
    assert "--partial" in refused.value.hint
    made = mtreeimport.take(text, IMAGE, partial=True)
    assert made.manifest.unknown == (b"/a",)
    assert made.losses[-1] == f"mtree: of 1 path the manifest says nothing (without {lacking})"
    now = baked([file(b"/a", b"anything", 0o4755, 7), file(b"/b")])
    assert drift.compare(made.manifest, seen_as(now)) == ()


def seen_as(made: Manifest):
    from trees import fingerprint

    return replace(fingerprint(), entries=made.entries, root=made.root)


# --- hostile ---------------------------------------------------------------------------------------------------------

DEEP = b"".join(b"d%s type=dir mode=0755 uid=0 gid=0\n" % (b"x" * 4000) for _ in range(10))
HOSTILE = {
    "empty": (b"", "no entries"),
    "another-file": (b"\x7fELF\x02\x01", "keyword|type|root|vis"),
    "no-root": (b"./a " + FILE, "line 1: the first entry is not the root"),
    "root-is-a-file": (b". " + FILE, "no type that it can have"),
    "up-and-out": (NOTHING + b"..\n..\n", 'line 3: ".." leads out of the tree'),
    "behind-the-end": (NOTHING + b"..\na " + FILE, "out of the tree"),
    "dots": (NOTHING + b"./../etc/passwd " + FILE, "could lead out of the tree"),
    "hidden-dots": (NOTHING + rb"./\056\056/etc " + FILE, "could lead out of the tree"),
    "hidden-slash": (NOTHING + rb"a\057..\057b " + FILE, "could lead out of the tree"),
    "absolute": (NOTHING + b"/etc/passwd " + FILE, "no path within a tree"),
    "two-slashes": (NOTHING + b".//a " + FILE, "could lead out of the tree"),
    "nul": (NOTHING + rb"./a\000b " + FILE, "could lead out of the tree"),
    "twice": (NOTHING + b"./a %s\n./a %s\n" % (FILE, FILE), "line 3: /a stands here twice"),
    "root-twice": (NOTHING + NOTHING, "line 2: / stands here twice"),
    "no-directory": (NOTHING + b"./a/b " + FILE, "line 2: /a/b is in no directory"),
    "in-a-file": (NOTHING + b"./a %s\n./a/b %s\n" % (FILE, FILE), "line 3: /a/b is in no directory"),
    "bad-escape": (NOTHING + rb"./a\q " + FILE, "not as vis"),
    "unknown-keyword": (NOTHING + b"./a colour=blue", "colour=blue is no keyword"),
    "value-of-none": (NOTHING + b"./a optional=yes", "optional=yes is no keyword"),
    "path-last": (NOTHING + b"type=file mode=0644 ./a", "./a is no keyword"),
    "no-type": (NOTHING + b"./a mode=0644", "no type"),
    "odd-type": (NOTHING + b"./a type=whiteout", "no type"),
    "symbolic-mode": (NOTHING + b"./a " + FILE.replace(b"0644", b"u=rw"), "mode=u=rw is no value"),
    "large-mode": (NOTHING + b"./a " + FILE.replace(b"0644", b"100644"), "mode=100644 is no value"),
    "large-size": (NOTHING + b"./a " + FILE.replace(b"size=0", b"size=18446744073709551616"), "no value"),
    "negative-size": (NOTHING + b"./a " + FILE.replace(b"size=0", b"size=-1"), "size=-1 is no value"),
    "large-uid": (NOTHING + b"./a " + FILE.replace(b"uid=0", b"uid=4294967296"), "no value"),
    "short-digest": (NOTHING + b"./a " + FILE[:-1], "sha256=.* is no value"),
    "foreign-device": (NOTHING + b"./a type=char mode=0 uid=0 gid=0 device=solaris,1,2", "no value"),
    "huge-device": (NOTHING + b"./a type=char mode=0 uid=0 gid=0 device=native,1,9999999999", "no value"),
    "empty-link": (NOTHING + b"./a type=link mode=0777 uid=0 gid=0 link=\\$", "no value"),
    "foreign-class": (NOTHING + b"./a %s tags=driftd.absent" % FILE, "no class of driftd"),
    "class-of-another-kind": (NOTHING + b"./a %s tags=driftd.open-dir" % FILE, "nothing of this kind"),
    "long-path": (NOTHING + DEEP, "longer than 32768 bytes"),
    "long-line": (NOTHING + b"./" + b"a" * 2**20, "longer than 1048576 bytes"),
    "long-line-in-pieces": (NOTHING + b"a\\\n" * 2**20, "longer than 1048576 bytes"),
    "cut": (NOTHING + b"./a type=file \\", "ends in the middle of a line"),
    "terminal": (NOTHING + b"./a \x1b[31m", r"\\x1b\[31m is no keyword"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_one_sentence(name):
    text, why = HOSTILE[name]
    with pytest.raises(BadInput, match=why) as refused:
        taken(text)
    assert str(refused.value).isprintable()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_long_paths_do_not_add_up(monkeypatch):
    from driftd.edges.exports import mtreelines

    monkeypatch.setattr(mtreelines, "PATHS_LIMIT", 100_000)
    with pytest.raises(BadInput, match="longer than 100000 bytes together"):
        taken(NOTHING + b"".join(b"%05d type=dir mode=0755 uid=0 gid=0\n" % number for number in range(1000)))


@pytest.mark.parametrize("line", [b"\x0b", b"\x0c\r", b" \t"])
def test_a_line_of_white_space_is_no_entry(line):
    text = NOTHING + b"./a " + FILE + b"\n"
    assert taken(text + line + b"\n") == taken(text)


@given(st.binary(max_size=60).map(lambda tail: NOTHING + b"./a " + FILE + b"\n" + tail))
def test_whatever_follows_is_read_or_refused(text):
    try:
        made = taken(text, partial=True)
    except BadInput:
        return
    assert manifesttext.decode(manifesttext.encode(made)) == made
