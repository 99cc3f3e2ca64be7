"""A sidecar: the same files give the same bytes, what was written reads back, and nothing else is read."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import IMAGE, baked, directory, file, link

from driftd.core import sidecar
from driftd.core.errors import BadInput
from driftd.core.globs import path as glob
from driftd.core.showable import FORMATS, NEVER, Show, show_for
from driftd.core.shown import SIZE_LIMIT, Shown
from driftd.core.sidecar import Sidecar

SHA = hashlib.sha256(b"whole").digest()
ONE = Sidecar("img 1", {b"/etc/a b\xff": Shown("yaml", SHA, b"a: 1\n"), b"/etc/c": Shown("json", SHA, b"", "too odd")})

paths = st.lists(st.binary(min_size=1, max_size=6).filter(lambda name: b"/" not in name), min_size=1, max_size=3).map(
    lambda names: b"/" + b"/".join(names)
)
shown = st.builds(
    Shown, st.sampled_from(FORMATS), st.binary(min_size=32, max_size=32), st.binary(max_size=200)
) | st.builds(Shown, st.sampled_from(FORMATS), st.just(SHA), st.just(b""), st.text("ab c", min_size=1, max_size=20))
sidecars = st.builds(Sidecar, st.text(min_size=1, max_size=10), st.dictionaries(paths, shown, max_size=5))


@given(sidecars)
def test_what_was_written_reads_back_and_is_written_the_same(made: Sidecar):
    data = sidecar.encode(made)
    again = sidecar.decode(data)
    assert (again.image, dict(again.files)) == (made.image, dict(made.files))
    assert sidecar.encode(Sidecar(made.image, dict(reversed(made.files.items())))) == data


def test_it_is_text_and_a_text_stands_once():
    made = sidecar.encode(Sidecar("x", {b"/a": Shown("text", SHA, b"same\n"), b"/b": Shown("text", SHA, b"same\n")}))
    assert made.count(b"\nsame\n") == 1
    assert made.startswith(b"driftd-sidecar/1\nimage x\nfiles 2\ntexts 1\n\n/a " + SHA.hex().encode())


@given(sidecars, st.data())
def test_anything_else_is_refused_in_one_sentence(made: Sidecar, data):
    text = sidecar.encode(made)
    at = data.draw(st.integers(0, len(text) - 1))
    how = data.draw(st.sampled_from(["cut", "change", "more"]))
    other = {
        "cut": text[:at],
        "change": text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :],
        "more": text + b"\n",
    }[how]
    with pytest.raises(BadInput) as error:
        sidecar.decode(other)
    assert "\n" not in str(error.value)


def with_digest(body: bytes) -> bytes:
    return body + b"end sha256:%s\n" % hashlib.sha256(body).hexdigest().encode()


HOSTILE = {
    "empty": b"",
    "other": b"driftd-sidecar/2\n",
    "many": b"driftd-sidecar/1\nimage x\nfiles 99999\ntexts 0\n\n",
    "endless": b"driftd-sidecar/1\nimage x\nfiles 1\ntexts 0\n\n" + b"/" * 100_000,
    "large-text": b"driftd-sidecar/1\nimage x\nfiles 0\ntexts 1\n\n\ntext:%s %d\n" % (b"a" * 64, SIZE_LIMIT + 1),
    "no-format": with_digest(b"driftd-sidecar/1\nimage x\nfiles 1\ntexts 0\n\n/a %s xml withheld:x\n\n" % (b"a" * 64)),
    "text-nobody-names": with_digest(
        b"driftd-sidecar/1\nimage x\nfiles 0\ntexts 1\n\n\ntext:%s 1\na\n" % hashlib.sha256(b"a").hexdigest().encode()
    ),
    "a-file-without-its-text": with_digest(
        b"driftd-sidecar/1\nimage x\nfiles 1\ntexts 0\n\n/a %s text text:%s\n\n" % (b"a" * 64, b"b" * 64)
    ),
    "unsorted": with_digest(
        b"driftd-sidecar/1\nimage x\nfiles 2\ntexts 0\n\n"
        + b"".join(b"/%s %s text withheld:x\n" % (name, b"a" * 64) for name in (b"b", b"a"))
        + b"\n"
    ),
    "twice": with_digest(
        b"driftd-sidecar/1\nimage x\nfiles 2\ntexts 0\n\n" + b"/a %s text withheld:x\n" % (b"a" * 64) * 2 + b"\n"
    ),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_sidecars_are_refused(name: str):
    with pytest.raises(BadInput):
        sidecar.decode(HOSTILE[name])


def test_one_that_would_be_too_large_is_not_written():
    huge = {b"/%d" % number: Shown("text", SHA, b"%d" % number * 8000) for number in range(10_001)}
    with pytest.raises(BadInput):
        sidecar.encode(Sidecar("x", huge))


# --- what goes into one ----------------------------------------------------------------------------------------------

SHOWS = (Show(glob("/etc/*")), Show(glob("/etc/ssh/**"), "sshd_config"))


def test_only_files_that_are_showable_read_and_small_are_asked_for():
    tree = [
        file(b"/etc/a", b"x"),
        file(b"/etc/large", b"x" * (SIZE_LIMIT + 1)),
        link(b"/etc/link", b"/etc/shadow"),
        directory(b"/etc/d"),
        file(b"/etc/shadow", b"x"),
        file(b"/etc/ssh/ssh_host_rsa_key", b"x"),
        file(b"/etc/ssh/sshd_config", b"x"),
        file(b"/opt/b", b"x"),
    ]
    asked = sidecar.asks(baked(tree), SHOWS)
    assert [ask.path for ask in asked] == [b"/etc/a", b"/etc/ssh/sshd_config"]
    assert {ask.what for ask in asked} == {"show"}


def test_only_texts_of_what_the_manifest_states_are_kept():
    made = baked([file(b"/etc/a", b"whole"), file(b"/etc/b", b"x"), file(b"/etc/c", b"y")])
    answered = {
        b"/etc/a": Shown("text", SHA, b"whole"),
        b"/etc/b": Shown("text", SHA, b"another"),
        b"/etc/c": Shown("text", b"", b"", "it is not text"),
        b"/etc/d": Shown("text", SHA, b"nowhere"),
    }
    kept = sidecar.kept(made, answered)
    assert kept.image == IMAGE
    assert set(kept.files) == {b"/etc/a", b"/etc/c"}
    assert kept.files[b"/etc/c"].sha256 == hashlib.sha256(b"y").digest()


def test_some_paths_are_never_shown_whatever_a_document_says():
    everything = (Show(glob("/**")),)
    for path in (
        b"/etc/shadow",
        b"/etc/gshadow-",
        b"/root/.ssh/config",
        b"/etc/ssl/private/x",
        b"/a/b.key",
        b"/root/.pgpass",
    ):
        assert show_for(path, everything) is None, path
    assert show_for(b"/etc/passwd", everything) is not None
    assert all(any(one.matches(path) for one in NEVER) for path in (b"/proc/1/environ", b"/dev/mem", b"/x/id_rsa"))
