"""A manifest's text: one for each manifest, read back exactly, and refused with a line for anything else."""

import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import IMAGE, account, baked, device, directory, file, fingerprint, group, link, manifests, package

from driftd.core import manifest, manifesttext
from driftd.core.classes import Expected
from driftd.core.errors import BadInput
from driftd.core.escaped import escape, unescape
from driftd.core.facts import Kept, fact

CLASSES = {b"/etc/hosts": Expected("template", "hosts"), b"/srv": Expected("open-dir")}
SMALL = manifest.classified(
    baked(
        [
            file(b"/etc/hosts", b"127.0.0.1 localhost\n"),
            file(b"/bin/ping", b"elf", 0o755, xattrs=[(b"security.capability", b"\x01\x00=")]),
            link(b"/etc/mtab", b"/proc/self/mounts"),
            device(b"/dev/null"),
            file(b"/srv/a b\n\xff\\x20", b""),
        ],
        facts=(
            package("adduser", "3.134"),
            account("root", home="/root", password="locked"),
            account("odd", 1, shell="-", home=""),
            group("adm", 4, "a b,syslog"),
            group("none", 5),
        ),
    ),
    CLASSES,
)
TEXT = manifesttext.encode(SMALL)


def lines():
    return TEXT.split(b"\n")


def number_of(start: bytes) -> int:
    return next(at for at, line in enumerate(lines()) if line.startswith(start))


def changed(start: bytes, old: bytes, new: bytes) -> bytes:
    made = lines()
    at = number_of(start)
    assert old in made[at]
    made[at] = made[at].replace(old, new, 1)
    return b"\n".join(made)


def swapped(first: bytes, second: bytes) -> bytes:
    made = lines()
    a, b = number_of(first), number_of(second)
    made[a], made[b] = made[b], made[a]
    return b"\n".join(made)


def doubled(start: bytes) -> bytes:
    made = lines()
    at = number_of(start)
    made[at + 1] = made[at]
    return b"\n".join(made)


@given(manifests())
def test_every_manifest_reads_back_as_it_was_and_has_one_text(made):
    text = manifesttext.encode(made)
    again = manifesttext.decode(text)
    assert again == made
    assert manifesttext.encode(again) == text


def test_a_person_can_read_it():
    assert b"/etc/hosts file template:hosts 0644 0:0 20 sha256:" in TEXT
    assert b"\n/etc/mtab link exact 0777 0:0 /proc/self/mounts\n" in TEXT
    assert b"\n/dev/null char exact 0666 0:0 1,3\n" in TEXT
    assert b"\nlooked account 2\nlooked group 2\nlooked package 1\n" in TEXT
    assert b"\naccount odd gid=0 password=set shell=\\x2d uid=1\n" in TEXT
    assert b"\ngroup adm gid=4 members=a\\x20b,syslog\n" in TEXT
    assert b"\n/srv/a\\x20b\\x0a\\xff\\x5cx20 file " in TEXT
    assert b" security.capability=\\x01\\x00=\n" in TEXT


def test_the_order_in_which_a_tree_was_read_makes_no_difference():
    seen = fingerprint([file(b"/a"), file(b"/b")], facts=(package("b"), package("a")))
    other = replace(seen, facts=seen.facts[::-1])
    make = manifest.from_fingerprint
    assert manifesttext.encode(make(seen, "i", provisional=False)) == manifesttext.encode(
        make(other, "i", provisional=False)
    )


def ended(data: bytes) -> bytes:
    """With the last line that the changed text would have: whoever forges a manifest would write it too."""
    body = data[: data.rindex(b"\nend ") + 1]
    return body + b"end sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n"


REFUSED = {
    "empty": (b"", "is not the first line of a manifest"),
    "another-file": (b"PNG\x1b[31m\n", "is not the first line of a manifest"),
    "later-schema": (TEXT.replace(b"manifest/3", b"manifest/4", 1), "is not the one that this driftd reads"),
    "cut-in-the-header": (b"\n".join(lines()[:7]), 'the file ends where "classes" should stand'),
    "cut-in-an-entry": (TEXT[: TEXT.index(b"/etc/hosts") + 15], "this is not a line of an entry"),
    "cut-after-an-entry": (TEXT[: TEXT.index(b"/etc/mtab") - 1], "the file ends where an entry should stand"),
    "cut-before-the-end": (TEXT[: TEXT.index(b"end sha256")], '"end" should stand here'),
    "no-line-feed-at-the-end": (TEXT[:-1], "the file ends where the end of the last line should stand"),
    "more-after-the-end": (TEXT + b"x", "there is something after the end"),
    "wrong-order": (swapped(b"/etc/hosts", b"/etc/mtab"), "is not in its place"),
    "duplicate": (doubled(b"/bin/ping"), "this path stands here twice"),
    "traversal": (changed(b"/etc/hosts", b"/etc/hosts", b"/etc/../hosts"), "could lead out of the tree"),
    "relative": (changed(b"/ ", b"/ ", b"x "), "could lead out of the tree"),
    "outside-of-a-directory": (changed(b"/etc/hosts", b"/etc/hosts", b"/etc/host/s"), "could lead out of the tree"),
    "too-few-entries": (changed(b"entries ", b"entries 10", b"entries 9"), "more lines than the header counts"),
    "too-many-entries": (changed(b"entries ", b"entries 10", b"entries 11"), "fewer lines of an entry"),
    "too-few-facts": (changed(b"facts ", b"5", b"4"), "more lines than the header counts"),
    "too-many-facts": (changed(b"facts ", b"5", b"6"), "fewer lines of fact"),
    "no-aspect": (ended(changed(b"unshown ", b"-", b"size")), '"unshown" has a value that cannot be one'),
    "aspects-in-no-order": (ended(changed(b"unshown ", b"-", b"xattr,flags")), '"unshown" has a value'),
    "too-few-kinds": (changed(b"kinds ", b"3", b"2"), "more lines than the header counts"),
    "a-kind-twice": (changed(b"looked group", b"group 2", b"account 3"), "a line of kinds of facts stands here twice"),
    "too-few-classes": (changed(b"classes ", b"3", b"2"), "more lines than the header counts"),
    "too-many-classes": (changed(b"classes ", b"3", b"4"), "fewer lines of classes"),
    "other-number-of-a-class": (ended(changed(b"class exact ", b"8", b"9")), "not of the classes that the header"),
    "a-class-of-nothing": (ended(changed(b"class open-dir 1", b"open-dir 1", b"open-dir 0")), "not of the classes"),
    "a-class-changed": (ended(changed(b"/bin/ping", b"exact", b"variable")), "not of the classes that the header"),
    "no-class": (changed(b"/bin/ping", b"exact", b"anything"), "this is not a line of an entry"),
    "a-class-that-nothing-baked-has": (changed(b"/bin/ping", b"exact", b"absent"), "this is not a line of an entry"),
    "a-class-that-this-cannot-be": (changed(b"/bin/ping", b"exact", b"open-dir"), "of this kind can be open-dir"),
    "a-log-that-is-a-link": (changed(b"/etc/mtab", b"exact", b"growing"), "of this kind can be growing"),
    "template-without-a-name": (changed(b"/etc/hosts", b"template:hosts", b"template"), "not a line of an entry"),
    "name-without-a-template": (changed(b"/etc/mtab", b"exact", b"exact:hosts"), "not a line of an entry"),
    "forged-closed-root": (
        ended(TEXT.replace(SMALL.closed.hex().encode(), SMALL.root.hex().encode())),
        "do not have the closed root that the header says",
    ),
    "other-number-of-a-kind": (ended(changed(b"looked account", b"2", b"3")), "not those that the lines above count"),
    "a-kind-nobody-looked-for": (
        ended(changed(b"package ", b"package", b"packagf")),
        "not those that the lines above count",
    ),
    "fact-without-its-value": (changed(b"group adm", b"gid=4", b"gid="), "not written the way|not a line of fact"),
    "fields-out-of-order": (changed(b"group adm", b"gid=4 members=a", b"members=4 gid=a"), "not a line of fact"),
    "key": (changed(b"key", b"-", b"../x"), '"key" has a value that cannot be one'),
    "bytes": (changed(b"bytes ", b"23", b"24"), "do not add up"),
    "root": (
        ended(TEXT.replace(SMALL.root.hex().encode(), b"0" * 64)),
        "do not have the root that the header says",
    ),
    "content": (ended(changed(b"/etc/hosts", b"0644", b"0666")), "do not have the root that the header says"),
    "facts": (changed(b"account root", b"locked", b"set"), "does not have the digest that its last line says"),
    "spelling": (changed(b"/etc/hosts", b" 20 ", b" 020 "), "not written the way driftd writes it"),
    "escape": (changed(b"/etc/hosts", b"/etc/hosts", b"/etc/\\x68osts"), "not written the way driftd writes it"),
    "mode": (changed(b"/etc/hosts", b"0644", b"-644"), "this is not a line of an entry"),
    "owner": (changed(b"/etc/hosts", b"0:0", b"4294967296:0"), "this is not a line of an entry"),
    "kind": (changed(b"/etc/hosts", b"file", b"wile"), "this is not a line of an entry"),
    "yes-or-no": (changed(b"provisional", b"no", b"maybe"), '"provisional" has a value that cannot be one'),
    "image": (changed(b"image", b"golden-1", b"golden 1"), '"image" has a value that cannot be one'),
    "count": (changed(b"entries", b"entries ", b"entries +"), '"entries" has a value that cannot be one'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_line_and_reason(case):
    data, said = REFUSED[case]
    with pytest.raises(BadInput, match=r"^line \d+: |^the file's text") as caught:
        manifesttext.decode(data)
    assert re.search(re.escape(said).replace(r"\|", "|"), str(caught.value))
    assert str(caught.value).isprintable()
    assert caught.value.hint


@given(st.data())
def test_damage_is_refused_and_never_crashes(data):
    at = data.draw(st.integers(0, len(TEXT) - 1))
    damaged = bytearray(TEXT)
    if data.draw(st.booleans()):
        damaged[at] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[at : at + data.draw(st.integers(1, 200))]
    with pytest.raises(BadInput):
        manifesttext.decode(bytes(damaged))


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(BadInput):
        manifesttext.decode(b"driftd.manifest/3\n" + data)


def test_what_could_not_be_read_is_refused_unless_it_is_wanted():
    seen = fingerprint([file(b"/etc/shadow")], unreadable=(b"/etc/shadow",), covered=(b"/mnt",))
    with pytest.raises(BadInput, match="2 paths could not be read, /etc/shadow the first"):
        manifest.from_fingerprint(seen, IMAGE, provisional=False)
    for options in ({"provisional": True}, {"provisional": False, "partial": True}):
        made = manifest.from_fingerprint(seen, IMAGE, **options)
        assert made.unknown == (b"/etc/shadow", b"/mnt")


def test_what_is_true_of_one_moment_is_not_baked_and_what_was_kept_was_not_looked_for():
    facts = (fact("process", "/usr/bin/x", count=1), package("nc"))
    kept = (Kept("group", "not available", "damaged"), Kept("package", "not available", "one line is damaged"))
    made = baked(facts=facts, kept=kept)
    assert made.facts == (package("nc"),)
    assert made.looked == ("account", "package")


@pytest.mark.parametrize("image", ["", "a\nb", "a\x1bb"])
def test_an_image_needs_a_printable_name(image):
    with pytest.raises(BadInput, match="an image needs a name"):
        manifest.from_fingerprint(fingerprint(), image, provisional=False)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_escaping_keeps_words_apart(one, other):
    assert unescape(escape(one)) == one
    assert (escape(one) == escape(other)) == (one == other)
    assert escape(one).isascii()
    assert b" " not in escape(one)


def test_directories_have_no_size():
    assert b"\n/ directory exact 0755 0:0\n" in manifesttext.encode(baked([directory(b"/etc")]))


def test_each_entry_has_its_class_and_the_header_counts_them():
    assert b"\nclasses 3\nclass exact 8\nclass open-dir 1\nclass template:hosts 1\n" in TEXT
    assert b"\n/srv directory open-dir 0755 0:0\n" in TEXT
    again = manifesttext.decode(TEXT)
    assert again.class_of(b"/etc/hosts") == Expected("template", "hosts")
    assert again.class_of(b"/bin/ping") == again.class_of(b"/not/there") == Expected("exact")
    assert again.closed not in (b"", again.root)


def test_a_class_of_what_is_not_there_or_cannot_be_it_is_a_mistake():
    for path, word in ((b"/gone", "variable"), (b"/bin/ping", "open-dir"), (b"/etc", "growing"), (b"/etc", "absent")):
        with pytest.raises(ValueError, match="cannot be"):
            manifest.classified(SMALL, {path: Expected(word)})


def test_the_tree_part_is_the_same_however_the_tree_was_looked_at():
    seen = fingerprint([file(b"/a")], facts=(package("b"),))
    other = fingerprint([file(b"/a")], facts=(account("root"),), live=True)
    one = manifest.from_fingerprint(seen, "one", provisional=False, key_id="0123456789abcdef")
    two = manifest.from_fingerprint(other, "two", provisional=True)
    assert manifesttext.encode(one) != manifesttext.encode(two)
    part = manifesttext.tree_part(one)
    assert part == manifesttext.tree_part(two)
    assert part.startswith(b"root sha256:")
    for made in (one, two):
        assert manifesttext.encode(made).split(b"\n", 3)[3].startswith(part)
    assert b"\nprovisional no\n" in manifesttext.encode(one)
