"""What is asked of an instance while it is learnt from: forms that a file could have, and what it began with."""

import hashlib

from calibrating import added, edited, gone, link

from driftd.core.asks import CONTENT_LIMIT, Answer, Ask
from driftd.core.calibration.forms import FORMS, candidates
from driftd.core.calibration.inquiry import asks, contents, forms, kept
from driftd.core.templates import TEMPLATES

KEY = added("/etc/ssh/ssh_host_ed25519_key", 1, 411, "0600")


def test_only_forms_that_its_size_and_name_allow_are_asked_for():
    assert "ssh-private-key" in candidates(KEY.subject, 411)
    assert "hex32" not in candidates(KEY.subject, 411)
    assert "hex32" in candidates(b"/etc/machine-id", 33)
    assert "hosts" in candidates(b"/etc/hosts", 60)
    assert "hosts" not in candidates(b"/etc/some.conf", 60)
    assert list(candidates(b"/var/log/huge", CONTENT_LIMIT + 1)) == []
    assert set(candidates(b"/x/hosts-initiatorname-resolv", None)) == set(FORMS)


def test_every_form_is_a_template_and_the_narrower_comes_first():
    assert set(FORMS) == {name for name, one in TEMPLATES.items() if one.pattern}
    order = list(FORMS)
    for narrow, wide in (("hex32", "hostname"), ("uuid", "hostname"), ("date", "number"), ("number", "hostname")):
        assert order.index(narrow) < order.index(wide)


def test_what_became_longer_is_asked_for_its_old_beginning():
    log = added("/var/log/x", "new", 90_000)
    wanted = asks([log, gone("/a"), link("/l", "/t")], {b"/var/log/x": (70_000, "ab")})
    assert wanted == [Ask(b"/var/log/x", "prefix", b"70000")]
    assert asks([log], {b"/var/log/x": (90_000, "ab")}) == []
    assert asks([edited("/x", 1, sha256="unread")], {}) == []


def test_answers_are_read_by_what_was_asked_and_no_answer_is_none():
    before = {b"/l": (3, hashlib.sha256(b"abc").hexdigest()), b"/m": (3, "other"), b"/n": (4, "x")}
    digest = hashlib.sha256(b"abc").digest()
    answers = {Ask(path, "prefix", b"3"): Answer(sha256=digest) for path in (b"/l", b"/m", b"/n")}
    answers[Ask(b"/q", "prefix", b"3")] = Answer("cut short")
    assert kept(answers, before) == {b"/l": True, b"/m": False}
    matched = {Ask(b"/k", "match", pattern): Answer(yes=name == "uuid") for name, pattern in FORMS.items()}
    matched[Ask(b"/z", "match", FORMS["uuid"])] = Answer("not permitted", yes=True)
    assert forms(matched) == {b"/k": frozenset({"uuid"})}


def test_the_next_look_asks_of_what_this_one_saw():
    same_size = edited("/same", 1)
    del same_size.actual["size"]
    assert set(contents([KEY, same_size, link("/l", "/t")])) == {KEY.subject}
