"""Policies from whoever may write one: each is one sentence with file, line and remedy, and soon."""

import os
import time

import pytest

from driftd.core.errors import BadInput
from driftd.edges.documents import load_policy

HEAD = "schema: driftd.policy/1\nname: mine\nrules:\n"
RULE = "  - id: a\n    match: {path: /srv/x}\n    action: explain\n    because: it is so\n"
TEMPLATE = HEAD + RULE.replace("action: explain", "expect: template\n    pattern: PATTERN")

HOSTILE = {
    "anchors": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ":1: anchors and aliases", "write the value out"),
    "cycle": ("a: &a [*a]\n", ":1: anchors and aliases", "write the value out"),
    "merge": (HEAD + RULE + "    <<: {action: ignore}\n", ":8: '<<' merges", "write the keys out"),
    "tag": (HEAD + "  - !!python/object/apply:os.system [id]\n", ":4: the tag", "write a plain value"),
    "own-tag": (HEAD + RULE.replace("it is so", "!include x.yaml"), ":7: the tag", "write a plain value"),
    "include": ("include: mine.yaml\n" + HEAD + RULE, ":1: unknown key 'include'", "known here: "),
    "duplicate": (HEAD + RULE + "    action: alert\n", ":8: found duplicate key", "keep one of the two"),
    "deep-list": ("a: " + "[" * 50_000, ":1: nested deeper than", "write it flatter"),
    "deep-map": ("{a: " * 50_000, ":1: nested deeper than", "write it flatter"),
    "many-values": (HEAD + "  - a\n" * 60_000, ": a document has at most", "make several of it"),
    "long-line": (HEAD + RULE.replace("it is so", "x" * 5000), ":7: rules[0].because: ", ""),
    "huge-number": (HEAD + RULE.replace("it is so", "9" * 5000), ":7: not YAML: Exceeds", "in quotes"),
    "control": (HEAD + RULE.replace("it is so", "\x1b[31mred"), "not YAML", ""),
    "everything": (HEAD + RULE.replace("/srv/x", '"/**"'), ":5: rule 'a': /** reaches into /etc", "name the files"),
    "everything-else": (HEAD + RULE.replace("/srv/x", '"**/*"'), ":5: rule 'a': **/* reaches into", "name the files"),
    "by-classes": (HEAD + RULE.replace("/srv/x", '"/[!x]*/**"'), "reaches into /etc", "name the files"),
    "stars": (HEAD + RULE.replace("/srv/x", '"/e*c/p*d"'), "reaches into /etc", "name the files"),
    "relative": (HEAD + RULE.replace("/srv/x", "/srv/../etc/passwd"), "no path has the name '..' in it", "docs/"),
    "only-config": (
        HEAD + RULE.replace("/srv/x", "/var/spool/cron/**"),
        "speaks of nothing but what is obeyed",
        "name",
    ),
    "slow-pattern": (TEMPLATE.replace("PATTERN", '"(a+)+b"'), ":7: rule 'a': a part of it that repeats", "write one"),
    "slow-too": (
        TEMPLATE.replace("PATTERN", '"(?:x*y*)*"'),
        ":7: rule 'a': it repeats what can match nothing",
        "write one",
    ),
    "large-pattern": (
        TEMPLATE.replace("PATTERN", '"(?:a{100}){100}"'),
        ":7: rule 'a': written out it has more",
        "write one",
    ),
    "no-pattern": (TEMPLATE.replace("PATTERN", '"("'), ":7: rule 'a': it is no regular expression", "write one"),
    "when-nothing": (HEAD.replace("rules:", "when: {}\nrules:") + RULE, ":3: when says nothing", "add packages"),
    "when-no-os": (
        HEAD.replace("rules:", "when: {os: plan9}\nrules:") + RULE,
        ":3: when.os: 'plan9' is no system",
        "",
    ),
    "show-no-format": (
        HEAD.replace("rules:", "show: [{path: /etc/x, format: pdf}]\nrules:") + RULE,
        ":3: show[0].format: 'pdf' is no format; write one of: crontab, ",
        "",
    ),
    "show-bad-glob": (
        HEAD.replace("rules:", "show: [{path: etc/x}]\nrules:") + RULE,
        ":3: 'etc/x': a path's glob",
        "docs/",
    ),
    "two-documents": (HEAD + RULE + "---\na: 1\n", ":8: not YAML", ""),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_document_is_one_sentence(case, tmp_path):
    text, said, hint = HOSTILE[case]
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    refused(tmp_path, said, hint)


def refused(tmp_path, said, hint):
    before = time.perf_counter()
    with pytest.raises(BadInput) as caught:
        load_policy(["mine.yaml"], tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/mine.yaml")
    assert said in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(tmp_path))
    assert time.perf_counter() - before < 20  # seconds on a busy machine; a bomb takes for ever


def test_a_hundred_megabytes(tmp_path):
    with (tmp_path / "mine.yaml").open("wb") as file:
        file.write(HEAD.encode())
        file.truncate(100 * 1024 * 1024)
    refused(tmp_path, "more than a document may have", "make several of it")


def test_no_file(tmp_path):
    os.mkfifo(tmp_path / "mine.yaml")
    refused(tmp_path, "cannot be read: it is no regular file", "")


def test_links_in_a_circle(tmp_path):
    (tmp_path / "mine.yaml").symlink_to("other.yaml")
    (tmp_path / "other.yaml").symlink_to("mine.yaml")
    refused(tmp_path, "cannot be read: Too many levels of symbolic links", "")


def test_not_utf_8(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(HEAD.encode() + b"  - \xff\n")
    refused(tmp_path, "not UTF-8 (byte ", "save it as UTF-8")
