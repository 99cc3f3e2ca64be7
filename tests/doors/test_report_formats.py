"""Each format keeps to its schema, says all that there is to say, and nothing from an instance does anything in it."""

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

import cmarkgfm
import jsonschema
import pytest
import reported
import xmlschema
from cmarkgfm.cmark import Options
from hypothesis import example, given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from trees import NOW

from driftd.core import wording
from driftd.core.attributed import Level
from driftd.core.findings import Judgement, Verdict
from driftd.doors.cli import audit
from driftd.doors.cli.app import Context
from driftd.doors.report import html as html_report
from driftd.doors.report import markdown, sarif
from driftd.doors.report.formats import Format, render
from driftd.doors.report.shape import LineShape

SCHEMAS = Path(__file__).parent / "schemas"
# What a terminal obeys or a reader does not see; a line feed is the format's own.
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def strings(value: object) -> list[str]:
    """Every text in a JSON value, names of fields among them."""
    if isinstance(value, dict):
        return [one for pair in value.items() for part in pair for one in strings(part)]
    if isinstance(value, list):
        return [one for part in value for one in strings(part)]
    return [value] if isinstance(value, str) else []


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Format)
def test_what_is_planted_reaches_no_format_raw(form: Format):
    said = render(form, reported.hostile(), NOW)
    assert UNSEEN.findall(said) == []
    assert "planted" in said
    assert said.encode("utf-8")
    if form in {Format.SARIF, Format.OCSF}:
        for line in said.splitlines():
            assert all(UNSEEN.search(one) is None for one in strings(json.loads(line)))


@pytest.mark.parametrize("form", Format)
def test_no_instances_are_a_report_too(form: Format):
    said = render(form, [], NOW)
    assert said.endswith("\n") or form in {Format.NDJSON, Format.OCSF}


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.MARKDOWN])
def test_every_verdict_name_and_finding_is_told(form: Format):
    said = render(form, reported.fleet(), NOW)
    for word in ("web/1", "web/2", "golden-1", "no answer in 10 s", "/etc/ssh/sshd_config", "tcp 0.0.0.0:9999"):
        assert word in said, word
    assert re.search(r"accepted by ann", said)
    assert "nobody else was there" in said


# --- ndjson ----------------------------------------------------------------------------------------------------------


def test_a_line_is_a_finding_with_its_instance_or_a_look_that_found_nothing():
    looks = reported.fleet()
    lines = [json.loads(line) for line in render(Format.NDJSON, looks, NOW).splitlines()]
    shapes = [LineShape.model_validate(line) for line in lines]
    assert len(shapes) == len(looks[0].judgement.findings) + 1 + 1 + 1
    assert [one.instance.slot for one in shapes if one.type == "look"] == ["web/2", "web/3"]
    assert [one.instance.hint for one in shapes if one.type == "look"] == ["try: ssh 10.77.0.2", ""]
    (changed,) = (one for one in shapes if one.finding and one.finding.signature == reported.CHANGED.signature)
    assert changed.finding.diff.settings[0].after == "yes"
    assert changed.finding.attribution.level is Level.PROBABLE
    (whole,) = [one for one in json.loads(render(Format.JSON, looks, NOW))["instances"] if one["slot"] == "web/1"]
    assert [line["finding"] for line in lines if line["instance"]["slot"] == "web/1"] == whole["findings"]


# --- SARIF -----------------------------------------------------------------------------------------------------------


@cache
def sarif_schema() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text()))


def sarif_of(looks) -> dict:
    made = json.loads(sarif.render(looks, NOW))
    assert [error.message for error in sarif_schema().iter_errors(made)] == []
    (run,) = made["runs"]
    return run


def test_sarif_keeps_to_its_schema_whatever_is_planted():
    run = sarif_of(reported.hostile())
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert re.fullmatch(r"(%[0-9A-F]{2}|[A-Za-z0-9._~/-])+", place["uri"])
        assert not {".", ".."} & set(place["uri"].split("/"))
        assert re.search(r"(?<!\\)\[", result["message"]["text"]) is None, "no link"
        assert re.search(r"(?<!\{)\{(\{\{)*\d", result["message"]["text"]) is None, "no place for an argument"
    assert sarif_of([])["results"] == []


def test_sarif_has_rules_levels_fingerprints_and_suppressions():
    run = sarif_of(reported.fleet())
    rules = run["tool"]["driver"]["rules"]
    by = {}
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        assert result["kind"] == "fail"
        by[result["partialFingerprints"]["driftdSignature/v1"]] = (result, rule)
    result, rule = by[reported.CHANGED.signature]
    assert (result["level"], rule["properties"]["security-severity"]) == ("error", "9.5")
    assert (rule["id"], rule["name"]) == ("driftd:default/file-modified/critical", "FileModifiedCritical")
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "web/1/etc/ssh/sshd_config", "uriBaseId": "FLEET"}
    assert "PermitRootLogin no → yes" in result["message"]["text"]
    assert result["properties"]["attribution"]["level"] == "probable"
    assert "suppressions" not in result
    result, rule = by[reported.LISTENER.signature]
    assert (result["level"], rule["properties"]["security-severity"]) == ("note", "2.5")
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "web/1/listener/tcp 0.0.0.0:9999"
    result, _ = by[reported.ACCEPTED.signature]
    says = "accepted by ann until 2026-02-01: mine"
    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": says}]


def test_sarif_says_which_looks_could_not_be():
    run = sarif_of(reported.fleet())
    seen, unseen, clean, _ = run["invocations"]
    assert [one["executionSuccessful"] for one in run["invocations"]] == [True, False, True, True]
    (note,) = unseen["toolExecutionNotifications"]
    assert (note["level"], note["message"]["text"]) == (
        "error",
        "web/2: could not look: no answer in 10 s; next: try: ssh 10.77.0.2",
    )
    told = {note["level"]: note["message"]["text"] for note in seen["toolExecutionNotifications"]}
    assert told["warning"] == "web/1: not seen: firewall not available: there is no nft"
    assert clean["properties"]["verdict"] == "clean"
    assert {one["provenance"]["invocationIndex"] for one in run["results"]} == {0, 3}


@given(st.binary(min_size=1, max_size=40))
def test_every_path_comes_back_from_its_place_in_sarif(name: bytes):
    one = reported.finding(1, b"/" + name)
    look = replace(reported.fleet()[0], judgement=Judgement(Verdict.DRIFTED, "so", (one,)))
    (result,) = json.loads(sarif.render([look], NOW))["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(uri) == b"web/1/" + (b"/" + name).lstrip(b"/")


# --- JUnit -----------------------------------------------------------------------------------------------------------


@cache
def junit_schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd")


def junit_of(looks) -> ET.Element:
    said = render(Format.JUNIT, looks, NOW)
    junit_schema().validate(said)
    return ET.fromstring(said)


def test_junit_keeps_to_its_schema_whatever_is_planted():
    suites = junit_of(reported.hostile())
    assert suites.get("errors") == "1"
    assert len(junit_of([])) == 0


def test_junit_has_a_suite_an_instance_and_a_case_a_cause():
    suites = junit_of(reported.fleet())
    told = {suite.get("name"): suite for suite in suites}
    numbers = {
        name: tuple(suite.get(x) for x in ("tests", "failures", "errors", "skipped")) for name, suite in told.items()
    }
    assert numbers == {
        "web/1": ("6", "4", "0", "1"),
        "web/2": ("1", "0", "1", "0"),
        "web/3": ("1", "0", "0", "0"),
        "web/4": ("2", "0", "0", "1"),
    }
    assert tuple(suites.get(x) for x in ("tests", "failures", "errors")) == ("10", "4", "1")
    cases = {case.get("name"): case for case in told["web/1"].iter("testcase")}
    assert cases["looked at"].find("*") is None
    failure = cases["/etc/ssh/sshd_config modified"].find("failure")
    assert failure.get("type") == "critical"
    assert "PermitRootLogin no → yes" in failure.text
    assert "probable: eve's key SHA256:eve" in failure.text
    deleted = cases["/opt/app was deleted with 12 files"].find("failure")
    assert "high file /opt/app/11 removed" in deleted.text
    assert cases["/etc/motd added"].find("skipped").get("message").startswith("accepted by ann")
    error = told["web/2"].find("testcase/error")
    assert (error.get("message"), error.text) == ("no answer in 10 s", "try: ssh 10.77.0.2")
    assert "next: if that was you: driftd accept" in told["web/1"].find("system-out").text


# --- OCSF ------------------------------------------------------------------------------------------------------------

# The version that events say they are of, and the newest that there is a schema of.
VERSIONS = ("1.5.0", "1.8.0")


@cache
def ocsf_schema(class_uid: int, version: str) -> jsonschema.Draft202012Validator:
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))
    return jsonschema.Draft202012Validator(schemas.get_class_schema(schemas.lookup_class_name_from_uid(class_uid)))


def ocsf_of(looks) -> list[dict]:
    events = [json.loads(line) for line in render(Format.OCSF, looks, NOW).splitlines()]
    for event in events:
        for version in VERSIONS:
            errors = ocsf_schema(event["class_uid"], version).iter_errors(event)
            assert [f"{version} {error.json_path}: {error.message}" for error in errors] == []
    return events


def test_ocsf_keeps_to_its_schema_whatever_is_planted():
    assert len(ocsf_of(reported.hostile())) == 2 * 9 + 2


def test_ocsf_tells_looks_and_findings():
    events = ocsf_of(reported.fleet())
    looks = [event for event in events if event["class_uid"] == 2003]
    assert [one["compliance"]["status"] for one in looks] == ["Fail", "Unknown", "Pass", "Pass"]
    assert [one["severity"] for one in looks] == ["Critical", "Unknown", "Informational", "Medium"]
    assert looks[1]["remediation"]["desc"] == "try: ssh 10.77.0.2"
    found = {event["finding_info"]["uid"]: event for event in events if event["class_uid"] == 2004}
    changed = found[f"i-0001:{reported.CHANGED.signature}"]
    assert (changed["severity_id"], changed["status"]) == (5, "New")
    (evidence,) = changed["evidences"]
    assert evidence["file"]["path"] == "/etc/ssh/sshd_config"
    assert evidence["file"]["hashes"][0]["value"] == "cd" * 32
    assert evidence["actor"]["user"] == {"name": "eve", "credential_uid": "SHA256:eve"}
    assert changed["unmapped"]["attribution"]["level"] == "probable"
    accepted = found[f"i-0001:{reported.ACCEPTED.signature}"]
    assert (accepted["status"], accepted["status_detail"]) == ("Suppressed", "accepted by ann until 2026-02-01: mine")


# --- Markdown --------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Every element, and the text outside of code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.code: list[str] = []
        self.outside = ""
        self._inside = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self._inside += tag == "code"
        self.code += [""] * (tag == "code")

    def handle_endtag(self, tag):
        self._inside -= tag == "code"

    def handle_data(self, data):
        if self._inside:
            self.code[-1] += data
        else:
            self.outside += data


def github(text: str) -> Tags:
    """As GitHub reads it, with all of its extensions and raw HTML let through."""
    return Tags(cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE))


def test_nothing_that_is_planted_is_markup_a_link_or_a_mention():
    said = markdown.render(reported.hostile(), NOW)
    made = github(said)
    assert made.seen <= {"h1", "h2", "p", "ul", "li", "strong", "code", "pre"}
    outside = made.outside.replace("03:04:05", "")
    assert not re.search(r"[@#<>:]\S|planted|www|\*|GH-", outside)
    assert any("<script>planted()</script>" in one for one in made.code)


@given(st.text(min_size=1, max_size=60))
@example("- x")
@example("1. x")
@example("2) x")
@example("1.x)")
@example("    x")
@example("> x")
@example("`")
@example("== x")
@example("a, b; c: d. (e) 10.0.0.1 2026-01-02 03:04:05")
def test_a_sentence_stays_what_it_is(text: str):
    wanted = " ".join(wording.printable(text).split())
    made = github("- " + markdown.words(text))
    assert made.seen <= {"ul", "li", "code", "p"}
    whole = Tags(cmarkgfm.github_flavored_markdown_to_html("- " + markdown.words(text)).replace("code>", "b>")).outside
    assert " ".join(whole.split()) == (wanted or '""' if text.strip(" ") else "")
    assert not re.search(r"@\w", made.outside)


def test_markdown_says_first_what_needs_a_person():
    said = markdown.render(reported.fleet(), NOW)
    assert said.startswith("# driftd: 4 instances: 1 clean, 1 explained, 1 drifted, 1 unknown\n")
    assert said.index("## drifted: `web/1`") < said.index("## unknown: `web/2`") < said.index("clean: `web/3`")
    for words in (
        "- **critical** file `/etc/ssh/sshd_config` modified\n  - PermitRootLogin no → yes",
        "  - probable: eve's key `SHA256:eve` from 10.0.0.9; nobody else was there",
        "- **high** `/opt/app` was deleted with 12 files",
        "and 10 more of it: `--format json` has them all",
        "- **accepted, medium** file `/etc/motd` added",
        "- not seen: firewall not available: there is no nft",
        '`driftd accept 0000000000000001 --for 7d --reason "…"`; else replace it',
        "- **next**: try: ssh 10.77.0.2",
        "explained: `web/4`",
    ):
        assert words in said, words


def test_markdown_fits_into_a_comment_and_says_what_it_left_out():
    (drifted, *_) = reported.fleet()
    many = [replace(drifted, instance=reported.instance(at)) for at in range(200)]
    said = markdown.render(many, NOW)
    assert 50_000 < len(said) < 65_536
    assert re.search(r"There is no room here for 1\d\d more instances", said)


# --- HTML ------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_asks_nobody_for_anything_and_lets_nothing_planted_in():
    plain, planted = (Page(html_report.render(looks, NOW)) for looks in (reported.fleet(), reported.hostile()))
    for page in (plain, planted):
        assert [tag for tag, _ in page.tags].count("script") == 1
        assert not {"img", "b1", "iframe", "link", "object", "base"} & {tag for tag, _ in page.tags}
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}], tag
            assert re.fullmatch(r"#\w+", attributes.get("href", "#x"))
        (policy,) = [at["content"] for _, at in page.tags if at.get("http-equiv") == "Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
    assert "<script>planted()</script>" in planted.text
    assert "{{ 7*7 }}" in planted.text


def test_the_page_has_everything():
    page = Page(html_report.render(reported.fleet(), NOW))
    for words in (
        "PermitRootLogin",
        "nobody else was there",
        "try: ssh 10.77.0.2",
        "there is no nft",
        "0600",
        "eve by ssh",
    ):
        assert words in page.text, words
    classes = [attributes.get("class") for tag, attributes in page.tags if tag == "article"]
    assert classes.count("finding") == 16
    assert classes.count("finding accepted") == 2


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def drifted(driftd, tmp_path):
    """A tree that has one more file than its manifest says; the words of an audit of it."""
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/etc/hostname").write_text("a\n")
    driftd("bake", "--root", "tree", "--image", "img", "-o", "m")
    (tmp_path / "tree/etc/cron.d").mkdir()
    return ("audit", "--root", "tree", "--manifest", "m")


@pytest.mark.parametrize("form", Format)
def test_every_format_is_printed_and_written_whole(driftd, drifted, tmp_path, form):
    said = driftd(*drifted, "--format", form)
    assert (said.status, "/etc/cron.d" in said.out) == (1, True)
    written = driftd(*drifted, "--format", form, "-o", "report")
    assert (written.status, written.out) == (1, "")
    assert "/etc/cron.d" in (tmp_path / "report").read_text()
    assert not list(tmp_path.glob(".report*")), "nothing half written is left"


class Slow:
    """A house whose instances take their time: what was printed before each look is noted."""

    def __init__(self, said) -> None:
        self.looks, self.before, self._said = reported.fleet(), [], said

    def find(self, targets):
        return [one.instance for one in self.looks]

    def audit(self, instances, *, strict):
        for one in reversed(self.looks):
            self.before.append(len(self._said))
            yield one


def test_lines_are_printed_as_soon_as_there_are_any():
    said: list[str] = []
    house, context = Slow(said), Context(build=lambda config: house)
    looks = audit.look_at_all(context, house, [], lambda look: said.append(look.instance.id), strict=False)
    assert house.before == [0, 1, 2, 3]
    assert said == ["i-0004", "i-0003", "i-0002", "i-0001"]
    assert [one.instance.id for one in looks] == ["i-0001", "i-0002", "i-0003", "i-0004"], "in order for a whole report"


def test_a_wrong_format_is_one_sentence(driftd, drifted):
    said = driftd(*drifted, "--format", "xml")
    assert said.status == 2
    for form in Format:
        assert form in said.err
