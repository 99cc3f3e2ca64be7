"""What a group does about sessions: by kind from its setting, by door, person and address from its rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftd.core.answers import KINDS, Answers, pack_of
from driftd.core.errors import BadInput
from driftd.core.facts import Session
from driftd.core.findings import Action
from driftd.core.policy import Policy, judge
from driftd.core.sessions import differences
from driftd.core.taint import recalled, same_one
from driftd.edges.documents import load_policy

NOW = datetime(2030, 1, 3, 12, tzinfo=UTC)
EVE = Session("ssh", "eve", "10.0.0.9", NOW, key="SHA256:eve", kind="interactive", evidence="log")
RULES = """\
schema: driftd.policy/1
name: mine
rules:
"""
RULE = """\
  - id: {id}
    match: {{session: {{{match}}}}}
    action: {action}
    because: It is ours to say.
"""


def answer(session: Session, policy: Policy) -> tuple[Action, str]:
    judged = judge(differences([session]), policy, (), NOW, group="web")
    (found,) = (*judged.findings, *judged.explained)
    return found.action, found.rule


def group(answers: Answers, *names, base=None) -> Policy:
    return load_policy(names or ["sessions"], base).with_answers(pack_of("web", answers))


@pytest.mark.parametrize("kind", ["", *KINDS])
def test_who_says_nothing_observes(kind):
    came = replace(EVE, kind=kind)
    assert answer(came, group(Answers())) == (Action.OBSERVE, "sessions:anybody")
    assert answer(came, Policy()) == (Action.OBSERVE, "driftd:default")


@pytest.mark.parametrize(
    ("answers", "kind", "action"),
    [
        (Answers({"interactive": Action.REPLACE}), "interactive", Action.REPLACE),
        (Answers({"interactive": Action.REPLACE}), "transfer", Action.OBSERVE),
        (Answers({"interactive": Action.REPLACE}), "", Action.REPLACE),
        (Answers({"transfer": Action.ALERT}), "", Action.ALERT),
        (Answers({"transfer": Action.OBSERVE}, Action.ALERT), "transfer", Action.OBSERVE),
        (Answers({"transfer": Action.OBSERVE}, Action.ALERT), "forward", Action.ALERT),
        (Answers({"transfer": Action.OBSERVE}, Action.ALERT), "", Action.ALERT),
        (Answers(rest=Action.REPLACE), "command", Action.REPLACE),
    ],
)
def test_each_kind_has_its_answer_and_an_unknown_one_the_strictest(answers, kind, action):
    assert answer(replace(EVE, kind=kind), group(answers))[0] is action


@pytest.mark.parametrize("answers", [Answers(), Answers(rest=Action.REPLACE)])
def test_what_the_server_begins_by_itself_is_nobody(answers):
    assert answer(replace(EVE, door="service", kind="command"), group(answers))[0] is Action.EXPLAIN


def test_lines_that_were_taken_out_are_no_question_of_kinds():
    (gone,) = differences([EVE])
    gone = replace(gone, change="removed", expected=gone.actual, actual={})
    (found,) = judge([gone], group(Answers(rest=Action.OBSERVE)), (), NOW).findings
    assert (found.action, found.rule) == (Action.REPLACE, "sessions:lines-lost")


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ("door: console", {"door": "console"}),
        ("user: ops-*", {"user": "ops-7"}),
        ("key: 'SHA256:ops'", {"key": "SHA256:ops"}),
        ("key_id: ops-42", {"key_id": "ops-42"}),
        ("source: 10.20.0.0/16", {"source": "10.20.3.4"}),
        ("kind: [command, transfer]", {"kind": "transfer"}),
        ("kind: ''", {"kind": ""}),
        (
            "user: backup, kind: transfer, source: 10.20.0.0/16",
            {"user": "backup", "source": "10.20.0.1", "kind": "transfer"},
        ),
    ],
)
def test_a_rule_of_ones_own_has_the_last_word(tmp_path, match, fits):
    (tmp_path / "mine.yaml").write_text(RULES + RULE.format(id="ours", match=match, action="alert"))
    policy = group(Answers(rest=Action.REPLACE), "sessions", "mine.yaml", base=tmp_path)
    assert answer(replace(EVE, **fits), policy) == (Action.ALERT, "mine:ours")
    assert answer(EVE, policy)[0] is Action.REPLACE


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("kind: interactve", "'interactve' is no kind of session; write one of: , interactive, command"),
        ("doors: ssh", "unknown key 'rules[0].match.session.doors'"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, match, said):
    (tmp_path / "mine.yaml").write_text(RULES + RULE.format(id="ours", match=match, action="alert"))
    with pytest.raises(BadInput, match=r"mine\.yaml:5: ") as caught:
        load_policy(["mine.yaml"], tmp_path)
    assert said in str(caught.value)


def test_what_a_session_was_for_is_remembered_once_it_has_left():
    live, left = replace(EVE, kind="transfer", live=True), replace(EVE, kind="")
    kinds = {same_one(live): live.kind}
    assert recalled([left], kinds) == (replace(left, kind="transfer"),)
    assert recalled([replace(left, port=9)], kinds)[0].kind == ""
    assert recalled([replace(left, kind="command")], kinds)[0].kind == "command", "what this look sees comes first"
