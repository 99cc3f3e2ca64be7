"""Reports: JSON keeps to its published schema, the table fits its width, and no name does anything to a terminal."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from trees import NOW

from driftd.core import wording
from driftd.core.attributed import Attribution, Level
from driftd.core.causes import assign
from driftd.core.difference import Change
from driftd.core.facts import Coverage, Instance, Kept, Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict
from driftd.core.looks import Look
from driftd.doors.report import json as json_report
from driftd.doors.report import table
from driftd.doors.report.shape import ReportShape, json_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"
SERVER = Instance("i-08b7deadb5f3", "web", "golden-1", slot="web/1", address="10.77.0.3")
ADDED = {"kind": "file", "mode": "0755", "uid": "0", "gid": "0", "size": "9", "sha256": "ab" * 32}


def finding(subject: bytes = b"/usr/bin/x", **fields) -> Finding:
    values = {
        "kind": "file",
        "change": Change.ADDED,
        "severity": Severity.CRITICAL,
        "action": Action.REPLACE,
        "signature": "0123456789abcdef",
        "rule": "driftd:default",
        "because": "programs run",
        "actual": ADDED,
        **fields,
    }
    return Finding(subject=subject, **values)


SESSION = Session("ssh", "eve", "10.0.0.9", NOW, port=4022, key="SHA256:eve", live=True, evidence="log+process")


def look(*findings: Finding, verdict: Verdict = Verdict.DRIFTED, reason: str = "so it is", **fields) -> Look:
    judgement = Judgement(verdict, reason, findings, fields.pop("explained", ()), ignored=fields.pop("ignored", 0))
    return Look(SERVER, NOW, 0.5, judgement, **fields)


def report(*looks: Look) -> dict:
    text = json_report.render(looks, NOW)
    ReportShape.model_validate_json(text)
    assert text.endswith("}\n")
    assert text.isascii()
    return json.loads(text)


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_an_instance_has_what_was_promised():
    made = report(
        look(finding(), root=b"\xab" * 32, coverage=Coverage(entries=3, reasons={"skipped": 1}), others=(SESSION,))
    )
    assert made["schema"] == "driftd.report/1"
    assert made["verdicts"] == {"drifted": 1}
    (one,) = made["instances"]
    assert (one["id"], one["image"], one["verdict"], one["reason"]) == (
        "i-08b7deadb5f3",
        "golden-1",
        "drifted",
        "so it is",
    )
    assert one["root"] == "ab" * 32
    assert one["coverage"]["reasons"] == {"skipped": 1}
    wanted = {"kind", "subject", "change", "severity", "signature", "expected", "actual", "because"}
    assert wanted <= one["findings"][0].keys()
    assert "subject_bytes" not in one["findings"][0]
    assert one["sessions"][0]["evidence"] == ["log", "process"]
    assert one["sessions"][0]["own"] is False
    assert "ended_at" not in one["sessions"][0]


def test_what_could_not_be_seen_has_an_empty_root_and_a_hint():
    (one,) = report(replace(look(verdict=Verdict.UNKNOWN), hint="try again"))["instances"]
    assert (one["root"], one["findings"], one["hint"]) == ("", [], "try again")


def test_facts_are_counted_and_what_was_kept_is_told():
    kept = (Kept("firewall", "not available", "there is no nft"),)
    coverage = Coverage(entries=3, facts={"package": 2, "sshd": 1}, kept=kept, unbaked=("sshd",))
    (one,) = report(look(coverage=coverage))["instances"]
    assert one["coverage"]["facts"] == {"package": 2, "sshd": 1}
    assert one["coverage"]["kept"] == [{"kind": "firewall", "how": "not available", "why": "there is no nft"}]
    assert one["coverage"]["unbaked"] == ["sshd"]
    told = table.text([look(verdict=Verdict.CLEAN, coverage=coverage)])
    assert "seen: 3 paths, 3 facts of 2 kinds; not in the manifest, so not compared: sshd" in told
    assert "not seen: firewall not available: there is no nft" in told


def test_what_was_kept_for_one_reason_is_one_sentence():
    rows = [("at", "not available", "no\nPython"), ("bpf", "not permitted", "a"), ("bpf", "not permitted", "b")]
    assert list(wording.kept([*rows, ("cron", "not available", "no\nPython")])) == [
        "at, cron not available: no\\x0aPython",
        "bpf not permitted: a (and 1 more reason)",
    ]


THREE_WAYS = {
    "live 1, configured 0, baked 0": ({"configured": "0"}, {"configured": "0", "live": "1"}),
    "live 1, not configured, not baked": ({}, {"live": "1"}),
    "not live, configured ext4 x rw, baked live ext4 y rw and configured ext4 x rw": (
        {"configured": "ext4 x rw", "live": "ext4 y rw"},
        {"configured": "ext4 x rw"},
    ),
    "configured 1, baked 0": ({"configured": "0"}, {"configured": "1"}),
    "live 2, not configured, baked 1": ({"live": "1"}, {"live": "2"}),
}


@pytest.mark.parametrize("said", THREE_WAYS)
def test_a_setting_is_told_three_ways(said):
    expected, actual = THREE_WAYS[said]
    one = finding(b"net.x", kind="sysctl", change=Change.MODIFIED, expected=expected, actual=actual)
    lines = [line.strip() for line in table.text([look(one)]).splitlines()]
    assert said in lines
    assert not any(line.startswith(("live ", "configured ")) and "→" in line for line in lines)


def test_a_long_value_is_cut_where_the_difference_still_shows():
    stack = "; ".join(f"required pam_{number}.so" for number in range(40))
    longer = stack.replace("pam_30", "pam_evil")
    one = finding(b"su/auth", kind="pam", change=Change.MODIFIED, expected={"stack": stack}, actual={"stack": longer})
    line = "root=/dev/vda " + "quiet " * 100
    other = finding(
        b"cmdline",
        kind="kernel",
        change=Change.MODIFIED,
        expected={"live": line, "configured": line},
        actual={"live": line + "init=/bin/sh", "configured": line},
    )
    alone = finding(b"x", kind="pam", actual={"stack": stack})
    told = " ".join(table.text([look(one, other, alone)], width=100).split())
    assert "stack …29.so; required pam_30.so; required" in told
    assert f"… ({len(stack)} characters) → …29.so; required pam_evil.so; required" in told
    assert "quiet quiet init=/bin/sh, configured …" in told
    assert "is: stack required pam_0.so; required pam_1.so;" in told
    assert len(told) < 2500
    everything = report(look(one))["instances"][0]["findings"][0]
    assert everything["actual"] == {"stack": longer}


def test_a_fact_is_pleasant_to_read():
    one = finding(
        b"tcp 0.0.0.0:9999",
        kind="listener",
        actual={"user": "root", "program": "/usr/bin/nc", "baked": "no"},
    )
    program = finding(b"/tmp/x", kind="process", actual={"state": "deleted", "sha256": "ab" * 32, "user": "eve"})
    bare = finding(b"/usr/bin/nc", kind="process", actual={})
    told = table.text([look(one, program, bare)])
    assert "listener tcp 0.0.0.0:9999 added" in told
    assert "is: program /usr/bin/nc, user root, baked no" in told
    assert "is: sha256 abababababab…, user eve, state deleted" in told
    assert "process /usr/bin/nc added" in told
    assert "is: \n" not in told


def test_own_visits_explained_and_accepted_are_told():
    kept = finding(suppressed_by="accepted by ann")
    (one,) = report(look(kept, explained=(finding(b"/tmp/x"),), ignored=2, own=(SESSION,)))["instances"]
    assert one["findings"][0]["accepted"] == "accepted by ann"
    assert [found["subject"] for found in one["explained"]] == ["/tmp/x"]
    assert one["ignored"] == 2
    assert one["sessions"][0]["own"] is True


@given(st.binary(min_size=1, max_size=40))
def test_every_name_comes_back_from_the_report(name):
    (found,) = report(look(finding(name)))["instances"][0]["findings"]
    if "subject_bytes" in found:
        with pytest.raises(UnicodeDecodeError):
            name.decode()
        assert base64.b64decode(found["subject_bytes"]) == name
        assert "\\x" in found["subject"]
    else:
        assert found["subject"].encode() == name


def test_the_zone_is_told_where_there_is_one():
    placed = replace(look(finding()), instance=replace(SERVER, zone="eu-1a\x1b[2J"))
    (one,) = report(placed)["instances"]
    assert one["zone"].startswith("eu-1a?[2J~")
    assert f"10.77.0.3  golden-1  {one['zone']}" in table.text([placed])
    assert "zone" not in report(look(finding()))["instances"][0]


def test_the_published_schema_is_that_of_the_report():
    assert json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8")) == json_schema()


def test_the_example_in_the_documentation_keeps_to_the_schema():
    (text,) = re.findall(
        r"^```json\n(.*?)^```$", (DOCS / "report.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    shape = ReportShape.model_validate_json(text)
    found = shape.instances[0].findings[0]
    assert base64.b64decode(found.subject_bytes) == b"/usr/bin/\xffevil"


# --- the table -------------------------------------------------------------------------------------------------------

MODIFIED = finding(
    b"/etc/nginx.conf",
    change=Change.MODIFIED,
    severity=Severity.MEDIUM,
    expected={"mode": "0644", "sha256": "ab" * 32},
    actual={"mode": "0666", "sha256": "cd" * 32, "xattr user.x": ""},
)
VISIT = finding(
    b"ssh:eve@10.0.0.9",
    kind="session",
    severity=Severity.HIGH,
    actual={
        "user": "eve",
        "source": "10.0.0.9",
        "key": "SHA256:eve",
        "started_at": "2026-01-02T03:04:05Z",
        "times": "2",
        "last_at": "2026-01-02T04:04:05Z",
        "live": "yes",
        "evidence": "log",
    },
)


def test_evidence_reason_signature_and_next_step():
    text = table.text([look(MODIFIED, VISIT)], 160)
    assert "DRIFTED  web/1  i-08b7deadb5f3  10.77.0.3  golden-1" in text
    assert "medium    file /etc/nginx.conf modified" in text
    assert 'mode 0644 → 0666, sha256 abababababab… → cdcdcdcdcdcd…, xattr user.x nothing → ""' in text
    assert "eve from 10.0.0.9 with key SHA256:eve at 2026-01-02T03:04:05Z, 2 times until 2026-01-02T04:04:05Z" in text
    assert "still there; seen in log" in text
    assert "0123456789abcdef  driftd:default" in text
    assert "next: if that was you: driftd accept 0123456789abcdef --for 7d" in text
    assert text.endswith("1 instance: 1 drifted\n")


def test_added_and_removed_say_what_is_and_was():
    text = table.text([look(finding(), finding(change=Change.REMOVED, expected=ADDED, actual={}))])
    assert "is: mode 0755, uid 0, gid 0, size 9, sha256 abababababab…" in text
    assert "was: mode 0755" in text


def test_an_instance_without_findings_takes_two_lines():
    text = table.text([look(verdict=Verdict.CLEAN, reason="nothing differs from golden-1")])
    assert text.splitlines()[:3] == [
        " CLEAN  web/1  i-08b7deadb5f3  10.77.0.3  golden-1",
        "  nothing differs from golden-1",
        "",
    ]


def test_explained_and_ignored_are_counted_and_a_hint_is_the_next_step():
    explained = (finding(rule="debian:hosts"), finding(rule="debian:logs"), finding(rule="debian:logs"))
    text = table.text([look(verdict=Verdict.EXPLAINED, explained=explained, ignored=3, hint="look twice")])
    assert "explained: debian:hosts 1, debian:logs 2" in text
    assert "left out by rules that ignore: 3" in text
    assert "next: look twice" in text


def test_many_findings_are_counted():
    text = table.text([look(*[finding(b"/usr/bin/%02d" % at) for at in range(25)])])
    assert "/usr/bin/19 " in text
    assert "/usr/bin/20 " not in text
    assert "and 5 more: --format json has them all" in text


def test_verdicts_are_counted_in_the_order_of_their_weight():
    looks = [look(verdict=verdict) for verdict in (Verdict.UNKNOWN, Verdict.CLEAN, Verdict.EXPLAINED, Verdict.CLEAN)]
    assert table.text(looks).endswith("4 instances: 2 clean, 1 explained, 1 unknown\n")


def test_nothing_was_looked_at():
    assert table.text([]).endswith("no instances\n")


HOSTILE = [
    b"/[red]x[/red]",
    b"/\x1b[31mred",
    b"/a\nCLEAN  web/2",
    b"/\xff\xfe",
    "/\u202egnp.exe".encode(),
    b"/[/]",
    b"/:warning:",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [80, 140])
def test_hostile_names_are_shown_and_never_obeyed(name, width):
    everywhere = finding(
        name,
        because="why\x1b[2J [bold]",
        suppressed_by="ann\r[/]",
        actual={"kind": "file", "target": "\x9b31m", "xattr \x1b]0;": "[blink]"},
    )
    shown = replace(look(everywhere), hint="do\x07", instance=replace(SERVER, slot="web/\x1b[5m", image="[red]"))
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(table.render([shown]))
    text = out.getvalue()
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", re.sub(r"\x1b\[[0-9;]*m", "", text)) == []
    assert not re.search(r"\x1b\[(31|5|2J)", text), "only our own styles"
    assert "[bold]" in text
    assert "[blink]" in text


@given(st.binary(min_size=1, max_size=300), st.sampled_from([40, 80, 140]))
def test_no_line_is_wider_than_the_terminal(name, width):
    text = table.text([look(finding(name), MODIFIED, VISIT)], width)
    assert max(map(cell_len, text.splitlines())) <= width


def deleted(*more: Finding) -> list[Finding]:
    """A deleted directory with twelve files, as a look brings it."""
    rows = [finding(b"/opt/app", kind="directory"), *(finding(b"/opt/app/%d" % at) for at in range(12)), *more]
    gone = [replace(one, change=Change.REMOVED, signature=f"{at:016x}") for at, one in enumerate(rows)]
    return list(assign(gone))


def test_findings_of_one_cause_are_told_as_one():
    text = table.text([look(*deleted())])
    assert "/opt/app was deleted with 12 files" in text
    assert "and 10 more of it" in text
    assert text.count("/opt/app/") == 2
    made = report(look(*deleted()))
    [cause] = made["instances"][0]["causes"]
    assert (cause["kind"], cause["count"], cause["accepted"]) == ("tree-removed", 13, False)
    assert len(made["instances"][0]["findings"]) == 13
    assert made["alike"] == []


def test_what_several_instances_have_alike_is_said_once():
    looks = [replace(look(*deleted()), instance=replace(SERVER, slot=f"web/{at}")) for at in range(4)]
    assert "alike on 4 instances (web/0, web/1, web/2 and 1 more): /opt/app was deleted" in table.text(looks)
    [alike] = report(*looks)["alike"]
    assert alike["instances"] == ["web/0", "web/1", "web/2", "web/3"]


def test_what_was_accepted_is_counted():
    found = [replace(one, suppressed_by="accepted by ann until tomorrow: mine") for one in deleted()]
    assert "accepted: 13 findings" in table.text([look(*found)])
    assert report(look(*found))["instances"][0]["accepted"] == 13


# --- whose it is -----------------------------------------------------------------------------------------------------


def test_what_a_finding_is_tied_to_is_said():
    made = Attribution(Level.PROBABLE, "nobody else was there", replace(SESSION, confidence="unverified"))
    one = look(finding(), attributions={finding().signature: made})
    (shape,) = report(one)["instances"][0]["findings"]
    assert shape["attribution"] == {
        "level": "probable",
        "why": "nobody else was there",
        "user": "eve",
        "key": "SHA256:eve",
        "key_id": "",
        "source": "10.0.0.9",
        "started_at": NOW.isoformat().replace("+00:00", "Z"),
        "session": "unverified",
    }
    said = " ".join(table.text([one]).split())
    assert "probable: unverified eve's key SHA256:eve from 10.0.0.9; nobody else was there" in said
    nobody = look(finding(), attributions={finding().signature: Attribution(Level.NONE, "nobody was there")})
    assert report(nobody)["instances"][0]["findings"][0]["attribution"] == {"level": "none", "why": "nobody was there"}
    assert "nobody was there" not in table.text([nobody])
