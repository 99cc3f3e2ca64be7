"""The dialogue after the tree: every looker answers alike, and whatever a host makes of it is no answer."""

import bz2
import gzip
import hashlib
import lzma
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hostile_probe import DIALOGUE
from sshd import ME, sshd

from driftd.core.asks import Ask
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges.local import LocalLooker
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.probe import redact
from driftd.testing.looker import FakeLooker
from driftd.wiring.looking import RoutedLooker

pytestmark = [pytest.mark.machine, pytest.mark.servers]

TEXT = b"".join(b"line %d\n" % number for number in range(2000))
HOSTILE = Path(__file__).with_name("hostile_probe.py")


def sha(data):
    return hashlib.sha256(data).digest()


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="driftd-ssh-") as directory, sshd(Path(directory) / "sshd") as running:
        Path(directory).chmod(0o755)
        yield running


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = tmp_path_factory.mktemp("asked") / "root"
    (made / "etc").mkdir(parents=True)
    (made / "log").write_bytes(TEXT)
    (made / "log.gz").write_bytes(gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]))
    (made / "log.bz2").write_bytes(bz2.compress(TEXT))
    (made / "log.xz").write_bytes(lzma.compress(TEXT))
    (made / "torn.gz").write_bytes(gzip.compress(TEXT)[:-9])
    (made / "bomb.gz").write_bytes(gzip.compress(bytes(80 << 20), 1))
    (made / "etc/hostname").write_text("web-1.example.org\n")
    (made / "etc/hosts").write_text("127.0.0.1 localhost\n10.0.0.7 web-1.example.org web-1\n")
    (made / "etc/sshd_config").write_text("PermitRootLogin no\npassword hunter2\n")
    (made / "large").write_bytes(b"x" * 70_000)
    (made / "link").symlink_to("log")
    os.mkfifo(made / "fifo")
    (made / os.fsdecode(b"a\n\xff")).write_bytes(b"odd")
    return made


def way(kind, root, server):
    """A looker and an instance that it sees at ``root``."""
    local = Instance("i-1", "", "image", reach=Reach(root=str(root)))
    if kind == "local":
        return LocalLooker(), local
    options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(root))
    ssh = Instance("i-1", "web", "image", reach=Reach("127.0.0.1", server.port, ME, str(server.client_key)))
    if kind == "ssh":
        return SshLooker(options), ssh
    if kind == "fake":
        seen = LocalLooker().look(local, deadline_s=20)
        return FakeLooker({"i-1": seen}, {"i-1": root}), local
    return RoutedLooker(LocalLooker(), SshLooker(options)), ssh


@pytest.fixture(params=["local", "ssh", "routed", "fake"])
def talk(request, root, server):
    looker, instance = way(request.param, root, server)

    def ask(*asks):
        seen = looker.look(instance, deadline_s=20, ask=lambda _seen: asks)
        assert isinstance(seen, Fingerprint), seen
        return [seen.answers[one] for one in asks]

    ask.looker, ask.instance = looker, instance
    return ask


def test_what_is_asked_is_told_of_what_was_seen_and_nobody_is_asked_nothing(talk):
    told = []

    def ask(seen):
        told.append([entry.path for entry in seen.entries])
        return ()

    seen = talk.looker.look(talk.instance, deadline_s=20, ask=ask)
    assert seen.answers == {}
    assert told == [[entry.path for entry in seen.entries]]
    assert talk.looker.look(talk.instance, deadline_s=20).answers == {}


def test_prefixes(talk):
    some, whole, longer, none, odd = talk(
        Ask(b"/log", "prefix", b"100"),
        Ask(b"/log", "prefix", b"%d" % len(TEXT)),
        Ask(b"/log", "prefix", b"%d" % (len(TEXT) + 1)),
        Ask(b"/log", "prefix", b"0"),
        Ask(b"/a\n\xff", "prefix", b"3"),
    )
    assert (some.sha256, some.size, some.how) == (sha(TEXT[:100]), len(TEXT), "")
    assert whole.sha256 == sha(TEXT)
    assert (longer.sha256, longer.size) == (b"", len(TEXT))
    assert none.sha256 == sha(b"")
    assert odd.sha256 == sha(b"odd")


def test_what_is_packed(talk):
    names = (b"/log.gz", b"/log.bz2", b"/log.xz")
    for some in talk(*(Ask(name, "unpacked", b"7000") for name in names)):
        assert (some.prefix, some.sha256, some.size) == (sha(TEXT[:7000]), sha(TEXT), len(TEXT))
    for longer in talk(*(Ask(name, "unpacked", b"99999") for name in names)):
        assert (longer.prefix, longer.sha256) == (b"", sha(TEXT))


def test_what_does_not_unpack_holds_nothing_and_a_bomb_is_cut(talk):
    torn, plain, bomb = talk(
        Ask(b"/torn.gz", "unpacked", b"10"), Ask(b"/log", "unpacked", b"10"), Ask(b"/bomb.gz", "unpacked", b"10")
    )
    for answer in (torn, plain):
        assert (answer.how, answer.prefix, answer.sha256) == ("", b"", b"")
        assert answer.why
    assert (bomb.prefix, bomb.sha256) == (sha(bytes(10)), b"")
    assert bomb.size < 1 << 27


def test_patterns_are_held_against_the_whole_content(talk):
    pattern = rb"127\.0\.0\.1 localhost\n10\.0\.0\.7(?: (?#hostname)(?:\.example\.org)?)+\n"
    yes, part, large, bad = talk(
        Ask(b"/etc/hosts", "match", pattern),
        Ask(b"/etc/hosts", "match", rb"127\.0\.0\.1 localhost\n"),
        Ask(b"/large", "match", rb"x+"),
        Ask(b"/etc/hosts", "match", rb"(["),
    )
    assert (yes.yes, part.yes) == (True, False)
    assert (large.how, large.yes) == ("cut short", False)
    assert (bad.how, bad.yes) == ("not available", False)


def test_only_regular_files_are_opened_and_no_link_is_followed(talk):
    questions = (("prefix", b"1"), ("match", b".*"), ("unpacked", b"1"), ("show", redact.question(b"text", [])))
    paths = (b"/link", b"/fifo", b"/etc", b"/none", b"/link/x", b"/etc/../log", b"/")
    asks = [Ask(path, what, argument) for path in paths for what, argument in questions]
    for ask, answer in zip(asks, talk(*asks), strict=True):
        assert answer.how == "changed", ask
        assert (answer.sha256, answer.yes, answer.content) == (b"", False, b"")


def test_what_may_be_shown_comes_without_its_secrets(talk):
    (answer,) = talk(Ask(b"/etc/sshd_config", "show", redact.question(b"sshd_config", [b"password"])))
    assert b"PermitRootLogin no" in answer.content
    assert b"hunter2" not in answer.content
    (large,) = talk(Ask(b"/large", "show", redact.question(b"text", [])))
    assert (large.how, large.content) == ("cut short", b"")


def test_a_question_that_nobody_knows_has_no_answer(talk):
    odd, number = talk(Ask(b"/log", "weight", b""), Ask(b"/log", "prefix", b"-1"))
    assert (odd.how, number.how) == ("not available", "not available")


def test_more_than_one_look_may_ask_is_not_asked(root):
    asks = [Ask(b"/etc/hostname", "prefix", b"%d" % number) for number in range(5000)]
    looker, instance = way("local", root, None)
    seen = looker.look(instance, deadline_s=30, ask=lambda _seen: asks)
    assert isinstance(seen, Fingerprint), seen
    assert len(seen.answers) == 4096
    assert all(answer.how == "" for answer in seen.answers.values())


# --- hostile hosts ---------------------------------------------------------------------------------------------------

ASKS = (Ask(b"/log", "prefix", b"5"), Ask(b"/etc/hosts", "match", b"x"))


def pretend(server, root, mode, *arguments, deadline_s=5.0):
    public = Path(f"{server.client_key}.pub").read_text()
    command = " ".join([sys.executable, str(HOSTILE), mode, *arguments])
    (server.directory / "authorized_keys").write_text(f'restrict,command="{command}" {public}')
    try:
        looker, instance = way("ssh", root, server)
        return looker.look(instance, deadline_s=deadline_s, ask=lambda _seen: ASKS)
    finally:
        (server.directory / "authorized_keys").write_text(public)


def test_an_honest_host_is_heard(server, root):
    seen = pretend(server, root, "talk")
    assert isinstance(seen, Fingerprint), seen
    assert seen.answers[ASKS[0]].sha256 == sha(TEXT[:5])
    assert not seen.answers[ASKS[1]].yes


@pytest.mark.parametrize("mode", sorted(DIALOGUE.keys() - {"talk", "talk-replay"}))
def test_a_host_that_lies_floods_or_dies_in_the_dialogue_was_not_seen(server, root, mode):
    slow = mode in ("talk-silent", "talk-drips", "talk-for-ever")
    seen = pretend(server, root, mode, deadline_s=2.0 if slow else 10.0)
    assert isinstance(seen, Unseen), seen
    assert seen.reason.isprintable()
    assert seen.hint


def test_answers_to_an_earlier_looks_questions_are_none(server, root, tmp_path):
    record = str(tmp_path / "record")
    assert isinstance(pretend(server, root, "talk-replay", record), Fingerprint)
    again = pretend(server, root, "talk-replay", record)
    assert isinstance(again, Unseen)
    assert "not to these questions" in again.reason
