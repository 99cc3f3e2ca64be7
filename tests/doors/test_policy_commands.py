"""driftd policy check, test, record, simulate, schema: as a person meets them."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.core.difference import Change
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import InstanceRow
from driftd.edges.store import open_store

HEAD = "schema: driftd.policy/1\nname: mine\nrules:\n"
RULE = "  - id: {id}\n    match: {{path: {path}}}\n    expect: ephemeral\n    because: it comes and goes\n"
CASE = """schema: driftd.case/1
policy: [mine.yaml]
differences:
  - kind: file
    subject: /srv/x/upload.jpg
    change: added
    actual: {kind: file, mode: "0644", uid: "33", gid: "33", size: "3", sha256: "00"}
expect:
  verdict: explained
  explained: [{subject: /srv/x/upload.jpg, rule: "mine:a"}]
"""


def write(file: Path, *rules: tuple[str, str], more: str = "") -> Path:
    file.write_text(HEAD + "".join(RULE.format(id=ident, path=path) + more for ident, path in rules), encoding="utf-8")
    return file


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_of_every_pack_finds_nothing_to_mend(driftd):
    said = driftd("policy", "check")
    assert said.status == 0
    assert re.search(r"^debian: \d+ rules, nothing wrong$", said.out, re.MULTILINE)


def test_check_says_what_to_mend_and_ends_with_one(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"), ("b", "/srv/x/y"), ("c", "/var/lib/**"))
    said = driftd("policy", "check", "mine.yaml")
    assert said.status == 1
    assert "mine.yaml: 3 rules, 2 rules to mend" in said.out
    assert "mend: mine:b (mine.yaml:8): it is never asked: mine:a (mine.yaml:4) comes before it" in said.out
    assert "mend: mine:c (mine.yaml:12): /var/lib/** is over-broad" in said.out
    assert "note: mine:c (mine.yaml:12): /var/lib/** lies over /var/lib/NetworkManager/" in said.out


def test_check_of_what_is_wrong_is_one_sentence_and_two(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/etc/**"))
    said = driftd("policy", "check", "mine.yaml")
    assert said.status == 2
    assert "mine.yaml:5: rule 'a': /etc/** passes over a subtree of /etc" in said.err


def test_check_tells_of_expired_rules(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"), more="    expires: 2020-01-31\n")
    said = driftd("policy", "check", "mine.yaml")
    assert said.status == 1
    assert "it expired on 2020-01-31" in said.out


def test_check_against_an_image(driftd, tmp_path):
    bake(driftd, tmp_path)
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"), ("b", "/opt/none/here"))
    said = driftd("policy", "check", "mine.yaml", "--manifest", "image.manifest")
    assert said.status == 1
    assert "mine:b (mine.yaml:8): nothing that it speaks of is in golden-1" in said.out
    assert "mine:a" not in said.out


def test_check_as_json(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/var/lib/**"))
    (one,) = json.loads(driftd("policy", "check", "mine.yaml", "--format", "json").out)
    assert (one["name"], one["rules"]) == ("mine.yaml", 1)
    assert [(remark["what"], remark["wrong"]) for remark in one["remarks"]] == [("broad", True), ("covers", False)]


# --- test and record -------------------------------------------------------------------------------------------------


def test_a_case_says_its_name_and_how_it_came_out(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"))
    (tmp_path / "an-upload.yaml").write_text(CASE, encoding="utf-8")
    said = driftd("policy", "test", "an-upload.yaml")
    assert (said.status, said.out) == (0, "ok    an-upload\n1 case, 0 wrong\n")


def test_a_case_that_came_out_otherwise(driftd, tmp_path):
    write(tmp_path / "mine.yaml", ("a", "/srv/y/**"))
    (tmp_path / "an-upload.yaml").write_text(CASE, encoding="utf-8")
    said = driftd("policy", "test", "an-upload.yaml")
    assert said.status == 1
    assert "WRONG an-upload" in said.out
    assert "the verdict is drifted, not explained: 1 finding: medium /srv/x/upload.jpg added" in said.out


def test_a_policy_on_the_command_line_is_tried_instead(driftd, tmp_path):
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "an-upload.yaml").write_text(CASE, encoding="utf-8")
    write(tmp_path / "other.yaml", ("a", "/srv/x/**"))
    assert driftd("policy", "test", "cases", "--policy", "other.yaml").status == 0
    assert driftd("policy", "test", "cases", "--policy", "sessions").status == 1


def test_the_case_in_the_documentation(driftd, tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs/policy.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for text in examples:
        if named := re.match(r"# (?:\S+/)?(\S+\.yaml)\n", text):
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
    said = driftd("policy", "test", "an-upload-is-no-finding.yaml")
    assert (said.status, said.err) == (0, ""), said.out
    assert said.out.startswith("ok    an-upload-is-no-finding\n")


WRONG_CASES = {
    "no-case": ("", ":1: a case is a mapping"),
    "unknown-key": (CASE + "verdict: clean\n", "unknown key 'verdict'"),
    "no-kind": (CASE.replace("kind: file\n", "kind: fil\n"), "'fil' is no kind of difference"),
    "not-base64": (CASE.replace("subject: /srv/x/upload.jpg\n", "subject: {base64: '!'}\n", 1), "'!' is not base64"),
    "anchor": (CASE.replace("added", "&a added"), "anchors and aliases"),
    "no-class": (CASE + "image: {classes: {/x: sometimes}}\n", "is no class of a manifest"),
}


@pytest.mark.parametrize("case", WRONG_CASES)
def test_a_case_that_is_wrong_is_one_sentence(driftd, tmp_path, case):
    text, sentence = WRONG_CASES[case]
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    said = driftd("policy", "test", "wrong.yaml", "--policy", "sessions")
    assert said.status == 2
    assert "wrong.yaml" in said.err
    assert sentence in said.err


def test_a_directory_without_a_case_is_a_mistake(driftd, tmp_path):
    (tmp_path / "empty").mkdir()
    said = driftd("policy", "test", "empty")
    assert (said.status, "there is no case in it" in said.err) == (2, True)


def test_what_is_recorded_comes_out_as_it_was(driftd, tmp_path):
    root = bake(driftd, tmp_path)
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"), ("b", "/srv/notes"))
    (root / "srv/x/upload.jpg").write_bytes(b"jpg")
    (root / b"srv/x/\xff\n".decode("utf-8", "surrogateescape")).write_bytes(b"")
    (root / "srv/strange").write_bytes(b"x")
    policy = ("--policy", "mine.yaml", "--policy", "sessions")
    said = driftd("policy", "record", "cases", "--root", root, "--manifest", "image.manifest", *policy)
    assert said.status == 0, said.err
    assert "drifted, kept as cases/" in said.out
    (file,) = (tmp_path / "cases").iterdir()
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert [one["subject"] for one in kept["expect"]["findings"]] == ["/srv/strange"]
    assert {"base64": "L3Nydi94L/8K"} in [one["subject"] for one in kept["expect"]["explained"]]
    assert driftd("policy", "test", "cases", *policy).status == 0
    other = driftd("policy", "test", "cases", "--policy", "sessions")
    assert other.status == 1
    assert "a finding that is not expected: medium file /srv/x/upload.jpg added" in other.out


def test_what_could_not_be_seen_is_not_recorded(driftd, tmp_path):
    hosts = 'groups: {web: {provider: static, image: img, hosts: ["127.0.0.1:1"]}}'
    (tmp_path / "driftd.yaml").write_text(f"store: sqlite:///driftd.db\nssh: {{connect_timeout: 1s}}\n{hosts}\n")
    said = driftd("policy", "record", "cases")
    assert said.status == 3
    assert "not recorded: " in said.out
    assert not (tmp_path / "cases").exists()


# --- simulate --------------------------------------------------------------------------------------------------------

CONFIG = """store: sqlite:///driftd.db
groups:
  web:
    provider: static
    hosts: [192.0.2.10]
    policy: [mine.yaml]
    enforce: replace
"""
FIELDS = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "3", "sha256": "ab" * 32}


@pytest.fixture
def history(tmp_path):
    """A store that remembers one finding and one explained difference of web/0."""
    (tmp_path / "driftd.yaml").write_text(CONFIG, encoding="utf-8")
    write(tmp_path / "mine.yaml", ("a", "/srv/x/**"), ("b", "/srv/y/**"))
    now = datetime.now(UTC)
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    with store.write() as tx:
        tx.put_instance(
            InstanceRow("i-1", "web", "web/0", "golden-1", "", "running", Verdict.DRIFTED, "", "", now, now, now)
        )
        seen = (b"/srv/z/x", Change.ADDED, Severity.MEDIUM)
        tx.add_finding("i-1", Finding("file", *seen, Action.REPLACE, "s", "driftd:default", "w", {}, FIELDS), now)
        upload = Finding(
            "file", b"/srv/x/u", Change.ADDED, Severity.INFO, Action.EXPLAIN, "t", "mine:a", "w", {}, FIELDS
        )
        tx.keep_explained("i-1", [upload], now - timedelta(days=2))
    store.close()


@pytest.mark.usefixtures("history")
def test_the_same_policy_would_have_judged_the_same(driftd):
    said = driftd("policy", "simulate", "--since", "7d")
    assert said.status == 0, said.err
    assert "2 differences on 1 instance since" in said.out
    assert "1 as they were: explained" in said.out
    assert "replacement would be held: i-1" in said.out  # nobody vouches for its manifest
    assert "counts as it did then" in said.out
    assert "Not kept, and so not replayed: " in said.out


@pytest.mark.usefixtures("history")
def test_another_policy_would_have_judged_otherwise(driftd, tmp_path):
    write(tmp_path / "other.yaml", ("z", "/srv/z/**"))
    said = driftd("policy", "simulate", "other.yaml")
    assert said.status == 1
    assert "1 would be explained and was a replacement, held:" in said.out
    assert "    i-1: file /srv/z/x added (driftd:default, would be mine:z)" in said.out
    assert "1 would be a replacement, held and was explained:" in said.out
    values = json.loads(driftd("policy", "simulate", "other.yaml", "--format", "json").out)
    assert {one["subject"]: (one["was_rule"], one["would_rule"]) for one in values["differences"]} == {
        "/srv/z/x": ("driftd:default", "mine:z"),
        "/srv/x/u": ("mine:a", "driftd:default"),
    }
    assert values["replacement"] == {"then": ["i-1"], "would": [], "held": ["i-1"]}


@pytest.mark.usefixtures("history")
def test_simulate_changes_nothing(driftd, tmp_path):
    before = (tmp_path / "driftd.db").read_bytes()
    driftd("policy", "simulate", "sessions")
    assert (tmp_path / "driftd.db").read_bytes() == before


@pytest.mark.usefixtures("history")
def test_rules_of_ones_own_that_judged_nothing(driftd):
    said = driftd("policy", "check", "--unused-for", "7d")
    assert said.status == 1
    assert "mine:b (" in said.out
    assert "it has judged nothing since" in said.out
    assert "mine:a (" not in said.out
    assert "not held against an image" not in said.out  # the group names none


def test_unused_rules_need_a_group(driftd):
    assert driftd("policy", "check", "debian", "--unused-for", "7d").status == 2


@pytest.mark.parametrize("option", [("--since", "soon"), ("--group", "other")])
def test_simulate_of_what_is_not_there(driftd, history, option):
    assert driftd("policy", "simulate", *option).status == 2


def test_the_schema(driftd):
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert json.loads(driftd("policy", "schema").out) == json.loads((docs / "policy.schema.json").read_text())


def bake(driftd, tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "srv/x").mkdir(parents=True)
    said = driftd("bake", "--root", root, "--image", "golden-1", "-o", "image.manifest")
    assert said.status == 0, said.err
    return root
