"""A policy read with suspicion: what expired, what is never asked, what reaches too far, what speaks of nothing."""

from dataclasses import replace
from datetime import date, timedelta
from ipaddress import ip_network

import pytest
from trees import NOW, baked, directory, file, package

from driftd.core import globs
from driftd.core.difference import Change
from driftd.core.expect import Expect
from driftd.core.findings import Action, Severity
from driftd.core.packs import Pack
from driftd.core.policy import Policy
from driftd.core.review import against, review, shadows, unused
from driftd.core.rules import Match, Rule, Source


def rule(ident="r", *paths, kinds=(), changes=(), facts=None, fields=None, session=None, **more):
    match = Match(
        paths=tuple(map(globs.path, paths)),
        kinds=frozenset(kinds),
        changes=frozenset(changes),
        facts={kind: tuple(map(globs.word, texts)) for kind, texts in (facts or {}).items()},
        fields={name: tuple(map(globs.word, texts)) for name, texts in (fields or {}).items()},
        session=session or {},
    )
    outcome = {"action": Action.EXPLAIN} if "expect" not in more and "action" not in more else {}
    return Rule("pack", ident, match, "it is so", where=f"x.yaml:{ident}", **outcome, **more)


def said(*rules, own=True):
    found = review(Policy.of([Pack("x.yaml", rules, own=own)]), NOW)
    return [(one.what, one.rule, one.wrong) for one in found]


def test_a_plain_policy_gives_no_cause_for_a_word():
    assert said(rule("a", "/srv/x"), rule("b", "/srv/y/**")) == []


@pytest.mark.parametrize(
    ("days", "told"),
    [(-1, ("expired", True)), (0, ("expiring", False)), (14, ("expiring", False)), (15, None)],
)
def test_a_day_that_is_over_or_near(days, told):
    found = said(rule("a", "/srv/x", expires=(NOW + timedelta(days=days)).date()))
    assert found == ([(told[0], "pack:a", told[1])] if told else [])


SHADOWED = {
    "the-same": (rule("a", "/srv/x"), rule("b", "/srv/x")),
    "a-subtree": (rule("a", "/srv/**"), rule("b", "/srv/x/*.log")),
    "whatever-change": (rule("a", "/srv/**"), rule("b", "/srv/x", changes=[Change.ADDED])),
    "of-two-paths": (rule("a", "/srv/**", "/data/**"), rule("b", "/srv/x", "/data/y")),
    "a-listener": (
        rule("a", facts={"listener": ["tcp *"]}),
        rule("b", facts={"listener": ["tcp 0.0.0.0:80"]}, fields={"user": ["root"]}),
    ),
    "with-fields": (
        rule("a", facts={"unit": ["*.service"]}, fields={"state": ["transient", "generated"]}),
        rule("b", facts={"unit": ["x.service"]}, fields={"state": ["transient"], "dropins": [""]}),
    ),
    "every-session": (
        rule("a", kinds=["session"], action=Action.ALERT),
        rule("b", session={"user": (globs.word("backup"),)}),
    ),
    "a-network": (
        rule("a", session={"source": (Source(ip_network("10.0.0.0/8"), globs.word("10.0.0.0/8")),)}),
        rule("b", session={"source": (Source(ip_network("10.1.0.0/16"), globs.word("10.1.0.0/16")),)}),
    ),
    "config-that-both-name": (
        rule("a", "/run/udev/rules.d/*x*", action=Action.ALERT),
        rule("b", "/run/udev/rules.d/axa"),
    ),
    "that-ends-first": (rule("a", "/srv/**", expires=date(2027, 1, 1)), rule("b", "/srv/x", expires=date(2026, 6, 1))),
}
REACHED = {
    "another-path": (rule("a", "/srv/x"), rule("b", "/srv/y")),
    "a-wider-one": (rule("a", "/srv/x"), rule("b", "/srv/**")),
    "another-change": (rule("a", "/srv/**", changes=[Change.REMOVED]), rule("b", "/srv/x")),
    "another-kind": (rule("a", "/srv/**", kinds=["file"]), rule("b", "/srv/x", kinds=["link"])),
    "one-of-two-paths": (rule("a", "/srv/**"), rule("b", "/srv/x", "/data/y")),
    "fields-that-it-asks": (
        rule("a", facts={"listener": ["tcp *"]}, fields={"user": ["root"]}),
        rule("b", facts={"listener": ["tcp 0.0.0.0:80"]}),
    ),
    "another-fact": (rule("a", facts={"listener": ["tcp *"]}), rule("b", facts={"package": ["nginx"]})),
    "config-that-it-merely-covers": (rule("a", "/run/**"), rule("b", "/run/udev/rules.d/70-snap.rules")),
    "that-outlives-it": (rule("a", "/srv/**", expires=date(2027, 1, 1)), rule("b", "/srv/x")),
    "a-wider-network": (
        rule("a", session={"source": (Source(ip_network("10.1.0.0/16"), globs.word("10.1.0.0/16")),)}),
        rule("b", session={"source": (Source(ip_network("10.0.0.0/8"), globs.word("10.0.0.0/8")),)}),
    ),
    "another-internet": (
        rule("a", session={"source": (Source(ip_network("::/0"), globs.word("::/0")),)}),
        rule("b", session={"source": (Source(ip_network("10.0.0.0/8"), globs.word("10.0.0.0/8")),)}),
    ),
}


@pytest.mark.parametrize("case", SHADOWED)
def test_a_rule_that_is_never_asked(case):
    first, second = SHADOWED[case]
    assert shadows(first, second)
    assert ("shadowed", "pack:b", True) in said(first, second)


@pytest.mark.parametrize("case", REACHED)
def test_a_rule_that_is_asked_all_the_same(case):
    first, second = REACHED[case]
    assert not shadows(first, second)


def test_an_expired_rule_is_in_nobodys_way():
    over = rule("a", "/srv/**", expires=(NOW - timedelta(days=1)).date())
    assert said(over, rule("b", "/srv/x")) == [("expired", "pack:a", True)]


def test_a_later_document_may_have_the_last_word():
    own = Pack("own.yaml", (replace(rule("a", "/srv/x*"), where="own.yaml:3"),), own=True)
    shipped = Pack("shipped", (replace(rule("b", "/srv/xy"), where="shipped.yaml:3"),))
    found = review(Policy.of([own, shipped]), NOW)
    assert [(one.what, one.rule, one.wrong) for one in found] == [("shadowed", "pack:b", False)]


@pytest.mark.parametrize("path", ["/var/**", "/var/lib/**", "/home/**", "/srv/**", "/var/spool/**"])
def test_a_branch_of_the_system_is_too_much(path):
    assert ("broad", "pack:a", True) in said(rule("a", path))


@pytest.mark.parametrize("path", ["/var/lib/x/**", "/srv/x/**", "/run/**", "/tmp/**", "/var/log/**"])
def test_a_directory_of_one_program_is_not(path):
    assert "broad" not in [what for what, *_ in said(rule("a", path))]


def test_a_rule_that_raises_something_may_be_as_broad_as_it_likes():
    assert said(rule("a", "/var/**", action=Action.ALERT, severity=Severity.LOW)) == []


def test_config_that_is_merely_covered_is_told():
    (found,) = review(Policy.of([Pack("x", (rule("a", "/var/spool/**", "/srv/x/**", expect=Expect.EPHEMERAL),))]), NOW)[
        1:
    ]
    assert (found.what, found.wrong) == ("covers", False)
    assert found.said == (
        "/var/spool/** lies over /var/spool/at, /var/spool/atjobs, /var/spool/cron, which it does not loosen: "
        "what is obeyed takes a rule that names it"
    )


# --- beside an image -------------------------------------------------------------------------------------------------

TREE = [directory(b"/srv/app"), directory(b"/var/lib/nginx"), file(b"/usr/sbin/nginx", b"x", 0o755)]
IMAGE = baked(TREE, facts=(package("nginx"),))


@pytest.mark.parametrize(
    ("one", "idle"),
    [
        (rule("a", "/srv/app/x"), False),
        (rule("a", "/srv/app/**"), False),
        (rule("a", "/srv/other/**"), True),
        (rule("a", "/srv/other/x", "/var/lib/nginx/*"), False),
        (rule("a", facts={"package": ["nginx"]}), False),
        (rule("a", facts={"package": ["apache*"]}), True),
        (rule("a", facts={"listener": ["tcp *:80"]}), False),
        (rule("a", "**/x.log", action=Action.ALERT), False),
    ],
)
def test_a_rule_that_speaks_of_nothing_that_the_image_has(one, idle):
    found = against(Policy.of([Pack("x.yaml", (one,), own=True)]), IMAGE)
    assert [(remark.what, remark.wrong) for remark in found] == ([("idle", True)] if idle else [])


def test_of_a_shipped_pack_idle_rules_are_counted():
    pack = Pack("nginx", (rule("a", "/nowhere/x"), rule("b", "/srv/app/x"), rule("c", "/nowhere/y")))
    (found,) = against(Policy.of([pack]), IMAGE)
    assert (found.what, found.rule, found.wrong) == ("idle", "", False)
    assert "2 of its 3 rules" in found.said


def test_a_rule_over_much_of_an_image_is_told():
    tree = [file(b"/srv/app/%d" % number) for number in range(40)]
    (found,) = against(Policy.of([Pack("x.yaml", (rule("a", "/srv/app/**"),), own=True)]), baked(tree))
    assert (found.what, found.wrong) == ("broad", True)
    assert "40 of the 43 paths of golden-1 may differ by it" in found.said


def test_rules_that_judged_nothing():
    own = Pack("own.yaml", (rule("a", "/srv/x"), rule("b", "/srv/y")), own=True)
    shipped = Pack("shipped", (rule("c", "/srv/z"),))
    found = unused(Policy.of([own, shipped]), {"pack:a"}, NOW)
    assert [(one.what, one.rule, one.wrong) for one in found] == [("unused", "pack:b", True)]
