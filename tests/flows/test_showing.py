"""What a look shows of changed files: asked for where a pack lists them, held against the sidecar, and no more."""

import hashlib
from dataclasses import replace

import pytest
from trees import IMAGE, NOW, baked, file, fingerprint

from driftd.core.asks import Answer
from driftd.core.facts import Instance, Unseen
from driftd.core.findings import Action, Severity
from driftd.core.globs import path as glob
from driftd.core.policy import Policy
from driftd.core.showable import Show
from driftd.core.shown import MARK, Shown, short
from driftd.core.sidecar import Sidecar
from driftd.edges.semantic import SemanticDiffer
from driftd.flows.audit import Rules, audit
from driftd.flows.bake import bake_showing
from driftd.flows.showing import Showing

SSHD = b"/etc/ssh/sshd_config"
SHOWS = (Show(glob("/etc/ssh/*"), "sshd_config"), Show(glob("/etc/motd")))
POLICY = Policy(shows=SHOWS)
SERVER = Instance("i-1", "web", IMAGE)
BEFORE = b"PermitRootLogin no\nUsePAM yes\n"


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class World:
    """A looker whose instance has ``tree`` and answers with the contents it has, and a sidecar."""

    def __init__(self, tree: dict[bytes, bytes], sidecar=None, answers=None, mode=0o644):
        self.tree, self.sidecar, self.answers, self.mode = tree, sidecar, answers or {}, mode
        self.asked = []

    def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
        seen = fingerprint([file(path, content, self.mode) for path, content in self.tree.items()])
        self.asked = list(ask(seen)) if ask else []
        given = {
            one: self.answers.get(
                one.path, Answer(size=1, sha256=sha(self.tree[one.path]), content=self.tree[one.path])
            )
            for one in self.asked
            if one.what == "show"
        }
        return replace(seen, answers=given)

    def own_key(self, instance):
        return ""

    def for_image(self, image):
        return baked([file(SSHD, BEFORE), file(b"/etc/motd", b"hello\n"), file(b"/opt/a", b"a")])

    def for_manifest(self, manifest):
        return self.sidecar

    def audit(self, policy=POLICY):
        rules = Rules(policy, showing=Showing(self, SemanticDiffer()))
        return audit(SERVER, self, self, rules, tuple, lambda: NOW)


KEPT = Sidecar(
    IMAGE, {SSHD: Shown("sshd_config", sha(BEFORE), BEFORE), b"/etc/motd": Shown("text", sha(b"hello\n"), b"hello\n")}
)
SAME = {SSHD: BEFORE, b"/etc/motd": b"hello\n", b"/opt/a": b"a"}


def looked(changes: dict[bytes, bytes], sidecar=KEPT, answers=None, mode=0o644, policy=POLICY):
    world = World({**SAME, **changes}, sidecar, answers, mode)
    look = world.audit(policy)
    return world, look


def test_a_changed_setting_is_told():
    world, look = looked({SSHD: b"PermitRootLogin yes\nUsePAM yes\n"})
    assert [one.path for one in world.asked if one.what == "show"] == [SSHD]
    made = look.shown[SSHD].comparison
    assert short(made.settings) == "PermitRootLogin no → yes"
    assert "+PermitRootLogin yes" in made.lines
    assert look.judgement.findings[0].severity is Severity.HIGH


def test_a_still_server_is_asked_for_nothing():
    world, look = looked({})
    assert [one for one in world.asked if one.what == "show"] == []
    assert look.shown == {}


def test_a_comment_alone_is_low_and_a_finding_all_the_same():
    _, look = looked({SSHD: b"# hello\n" + BEFORE})
    (found,) = look.judgement.findings
    assert (found.severity, found.action) == (Severity.LOW, Action.REPLACE)
    assert "only comments" in found.because
    assert look.judgement.reason.startswith("1 finding: low")
    assert look.shown[SSHD].comparison.cosmetic


NOT_LOW = {
    "a setting, too": {"changes": {SSHD: b"# x\nPermitRootLogin yes\n"}},
    "not the content alone": {"changes": {SSHD: b"# x\n" + BEFORE}, "mode": 0o666},
    "something taken out": {"changes": {SSHD: BEFORE + b"Banner hex=deadbeefdeadbeefdeadbeef00\n"}},
    "nothing to hold it against": {"changes": {SSHD: b"# x\n" + BEFORE}, "sidecar": None},
    "a sidecar that is not trusted": {"changes": {SSHD: b"# x\n" + BEFORE}, "sidecar": Unseen("no")},
    "a sidecar of another file": {
        "changes": {SSHD: b"# x\n" + BEFORE},
        "sidecar": Sidecar(IMAGE, {SSHD: Shown("sshd_config", sha(b"?"), BEFORE)}),
    },
    "no answer": {"changes": {SSHD: b"# x\n" + BEFORE}, "answers": {SSHD: Answer("not available", "it changed")}},
    "an answer about other content": {
        "changes": {SSHD: b"# x\n" + BEFORE},
        "answers": {SSHD: Answer(sha256=sha(b"?"), content=BEFORE)},
    },
    "nobody lists it": {"changes": {SSHD: b"# x\n" + BEFORE}, "policy": Policy()},
}


@pytest.mark.parametrize("name", sorted(NOT_LOW))
def test_what_is_not_known_to_be_cosmetic_stays_as_bad(name: str):
    _, look = looked(**NOT_LOW[name])
    (found, *_) = [one for one in look.judgement.findings if one.subject == SSHD]
    assert found.severity.rank >= Severity.HIGH.rank
    assert not (SSHD in look.shown and look.shown[SSHD].comparison.cosmetic and "setting" in name)


def test_of_an_added_file_its_text_is_told_and_of_a_removed_one_what_it_was():
    tree = {path: content for path, content in SAME.items() if path != b"/etc/motd"}
    world = World({**tree, b"/etc/ssh/new": b"Port 22\n"}, KEPT)
    look = world.audit()
    assert [one.path for one in world.asked if one.what == "show"] == [b"/etc/ssh/new"]
    assert "+Port 22" in look.shown[b"/etc/ssh/new"].comparison.lines
    assert "-hello" in look.shown[b"/etc/motd"].comparison.lines


def test_an_instance_that_sends_secrets_all_the_same_shows_none():
    raw = b"requirepass hunter2\n# the password is hunter2\nBanner x\n"
    _, look = looked({SSHD: raw})
    assert b"hunter2" not in look.shown[SSHD].after.text
    assert MARK.encode() in look.shown[SSHD].after.text
    assert "hunter2" not in repr(look)


def test_what_differs_only_where_something_was_taken_says_so():
    before, after = b"# password a\n" + BEFORE, b"# password b\n" + BEFORE
    manifest = baked([file(SSHD, before)])

    class Other(World):
        def for_image(self, image):
            return manifest

    clean = b"# <withheld>\n" + BEFORE
    world = Other({SSHD: after}, Sidecar(IMAGE, {SSHD: Shown("sshd_config", sha(before), clean)}))
    look = world.audit()
    assert look.shown[SSHD].comparison.note.startswith("what differs is withheld")
    assert look.judgement.findings[0].severity is Severity.HIGH


def test_bake_keeps_what_is_showable():
    world = World(SAME)
    made, sidecar = bake_showing(world, SERVER, IMAGE, POLICY, None)
    assert set(sidecar.files) == {SSHD, b"/etc/motd"}
    assert sidecar.files[SSHD] == Shown("sshd_config", sha(BEFORE), BEFORE)
    assert made.entries == world.for_image(IMAGE).entries
