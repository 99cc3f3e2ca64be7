"""What grows: its old content stays where logrotate can put it. Real logrotate, the real probe, looks one by one."""

import os
from datetime import timedelta

import pytest
from growing import Server, told

from driftd.core.findings import Action, Verdict
from driftd.core.marks import Past
from driftd.core.memory import Suppression
from driftd.flows.audit import Rules, audit

LOG = "/var/log/x.log"
WAYS = {
    "create": ["create", "rotate 4"],
    "nocreate": ["nocreate", "rotate 4"],
    "copytruncate": ["copytruncate", "rotate 4"],
    "compress": ["create", "compress", "rotate 4"],
    "delaycompress": ["create", "compress", "delaycompress", "rotate 4"],
    "copytruncate-compress": ["copytruncate", "compress", "rotate 4"],
    "xz": ["create", "compress", "compresscmd /usr/bin/xz", "compressext .xz", "rotate 4"],
    "bzip2": ["create", "compress", "compresscmd /bin/bzip2", "compressext .bz2", "rotate 4"],
    "dateext": ["create", "dateext", "dateformat -%Y%m%d-%s", "rotate 4"],
    "dateext-compress": ["create", "compress", "dateext", "dateformat -%Y%m%d-%s", "rotate 4"],
    "maxsize": ["create", "compress", "delaycompress", "maxsize 1k", "rotate 4"],
    "start-0": ["create", "start 0", "rotate 4"],
    "maxage": ["create", "compress", "rotate 4", "maxage 3"],
}


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    made.write()
    made.bake()
    return made


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_a_log_that_is_rotated_between_looks_is_explained_look_by_look(server, how):
    for turn in range(7):
        server.write(20 + turn)
        look = server.look()
        assert look.judgement.verdict is Verdict.EXPLAINED, (turn, told(look), look.judgement.unchecked)
        assert look.judgement.unchecked == ()
        server.write(5)
        if turn:
            server.rotate(*how)
        if server.log.exists():
            server.write(turn)


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_several_rotations_between_two_looks(server, how):
    server.look()
    for times in (2, 3):
        for _ in range(times):
            server.write(30)
            server.rotate(*how)
        server.write(3)
        look = server.look()
        assert look.judgement.verdict is Verdict.EXPLAINED, told(look)


@pytest.mark.parametrize("how", ["create", "delaycompress"])
def test_a_quiet_log_that_is_empty_at_a_look_and_then_rotated_drops_its_oldest(server, how):
    """Rotated by force, or monthly: what held nothing tells nothing of how far the others moved on."""
    for turn in range(8):
        server.rotate(*WAYS[how])
        look = server.look()
        assert look.judgement.verdict is Verdict.EXPLAINED, (turn, told(look))
        server.write(9)


def test_more_rotations_than_files_are_kept_are_told_and_replace_nobody(server):
    server.look()
    for _ in range(4):
        server.write(9)
        server.rotate("create", "rotate 4")
        server.write(3)
        server.look()
    for _ in range(6):
        server.write(9)
        server.rotate("create", "rotate 4")
    look = server.look()
    assert set(told(look)) >= {LOG}
    assert look.judgement.action is Action.ALERT
    again = server.look()
    assert told(again) == told(look), "and it stays until somebody accepts it"


def test_more_rotations_than_files_are_kept_after_as_many_days_are_nothing(server):
    server.look()
    server.apart = timedelta(days=6)
    for _ in range(6):
        server.write(9)
        server.rotate("create", "rotate 4")
    assert told(server.look()) == {}


@pytest.mark.parametrize("compressed", [False, True])
def test_the_first_look_holds_a_log_against_what_was_baked(server, compressed):
    server.write()
    server.rotate("create", "rotate 4", *["compress"] * compressed)
    server.write()
    assert told(server.look()) == {}


def edit(log, old, new):
    text = log.read_text()
    assert old in text
    log.write_text(text.replace(old, new))


def test_a_line_taken_out_is_found_and_stays_found(server):
    server.write()
    assert told(server.look()) == {}
    edit(server.log, "line 25 of a log\n", "")
    found = told(server.look())
    assert set(found) == {LOG}
    assert "it shrank from" in found[LOG]
    server.write(100)
    look = server.look()
    assert "are not its beginning any more" in told(look)[LOG]
    assert look.judgement.action is Action.REPLACE
    one = look.judgement.findings[0].signature
    server.write()
    assert server.look().judgement.findings[0].signature == one, "one finding, however the log goes on"


def test_a_line_changed_in_what_was_baked_is_found_at_the_first_look(server):
    edit(server.log, "line 3 of", "line x of")
    server.write()
    assert set(told(server.look())) == {LOG}


def test_a_line_changed_in_a_rotated_file_is_found(server):
    server.look()
    server.write()
    server.rotate("create", "rotate 4")
    server.write()
    assert told(server.look()) == {}
    edit(server.log.with_name("x.log.1"), "line 30 of", "line x of")
    assert set(told(server.look())) == {LOG + ".1"}


def test_a_log_that_is_gone_is_found_also_when_the_image_never_had_it(tmp_path):
    server = Server(tmp_path)
    server.bake()
    server.write()
    assert told(server.look()) == {}
    server.log.unlink()
    assert "it is gone" in told(server.look())[LOG]


def test_a_log_truncated_without_a_rotation_is_found(server):
    server.look()
    server.log.write_bytes(b"")
    assert set(told(server.look())) == {LOG}


def test_a_rotated_file_removed_while_nothing_was_rotated_is_found(server):
    server.look()
    for _ in range(3):
        server.write()
        server.rotate("create", "rotate 9")
    server.write()
    assert told(server.look()) == {}
    server.log.with_name("x.log.3").unlink()
    server.write()
    found = told(server.look())
    assert set(found) == {LOG + ".3"}
    assert "was rotated 0 times" in found[LOG + ".3"]


def test_a_rewritten_log_is_not_hidden_by_rotating_it(server):
    server.look()
    server.write()
    server.look()
    edit(server.log, "line 25 of", "line x of")
    server.rotate("create", "rotate 4")
    server.write()
    assert set(told(server.look())) == {LOG}


def test_a_packed_file_that_does_not_unpack_is_no_rotation(server):
    server.look()
    server.log.rename(server.log.with_name("x.log.1.gz"))
    server.write()
    assert told(server.look()) == {}, "a plain file called so is still the old content"
    other = server.log.with_name("x.log.1.gz")
    other.write_bytes(b"\x1f\x8b" + os.urandom(3000))
    assert LOG + ".1.gz" in told(server.look())


def test_without_a_word_from_earlier_looks_a_log_that_grew_is_held_against_the_image_alone(server):
    server.write()
    server.look()
    server.marks.clear()
    edit(server.log, "line 25 of", "line x of")
    assert told(server.look()) == {}


def test_what_is_accepted_is_what_the_next_look_is_held_against(server):
    server.look()
    edit(server.log, "line 5 of", "line x of")
    found = server.look().judgement.findings[0]
    accepted = Suppression(1, found.signature, "web", "ann", "it was me", server.now, server.now + timedelta(days=1))
    rules = Rules(server.policy, (accepted,))
    server.now += server.apart
    look = audit(server.instance, server.looker, server, rules, tuple, server.clock, past=Past(dict(server.marks)))
    assert look.judgement.verdict is Verdict.EXPLAINED
    server.marks = {mark.path: mark for mark in look.marks}
    server.write()
    assert told(server.look()) == {}
