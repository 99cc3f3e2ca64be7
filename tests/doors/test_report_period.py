"""``driftd report``: everything that happened in a time is in it, nothing else, and nothing planted does anything."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import jsonschema
import pytest
import reported
from cmarkgfm.cmark import Options
from store_rows import finding, instance, record, session

from driftd.core.attributed import Attribution, Level
from driftd.core.breakers.breaker import Breaker, State
from driftd.core.findings import Verdict
from driftd.core.holds import Hold
from driftd.core.memory import Pause, Suppression
from driftd.core.replacement import State as Step
from driftd.core.visits import Trace, Way
from driftd.doors.report.period import Format, render
from driftd.doors.report.period.shape import PeriodShape, json_schema
from driftd.edges.store import open_store
from driftd.flows.recount import recount

DOCS = Path(__file__).resolve().parents[2] / "docs"
pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=30)
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.fixture
def store(tmp_path: Path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    yield made
    made.close()


def visited(tx, name: str, *moments: datetime) -> None:
    for at in moments:
        number = tx.open_visit(name, "SHA256:own", at, f"scan-{name}-{at}")
        tx.trace_visit(number, Trace(f"scan-{name}-{at}", Way("10.0.0.1", 4000, "root", "SHA256:own"), at, at, at))
        tx.close_visit(number, at)


def told(store, text: str = "", keys=None):
    """Something of each kind before the period and in it; ``text`` in place of whatever others chose."""
    word = lambda usual: text or usual  # noqa: E731  # short
    with store.write() as tx:
        tx.put_instance(replace(instance("i-1", first_seen=ago(days=60)), image=word("golden-1"), zone=word("a")))
        tx.put_instance(instance("i-2", first_seen=ago(days=2), looked_at=None, verdict=Verdict.UNKNOWN,
                                 verdict_since=ago(days=2), reason=word("not looked at yet")))  # fmt: skip
        tx.put_instance(instance("i-old", first_seen=ago(days=90), gone_at=ago(days=40)))
        visited(tx, "i-1", *(ago(days=day) for day in (45, 29, 28, 20, 19, 1)))
        eve = session(
            user=word("eve"),
            source=word("10.0.0.9"),
            started_at=ago(days=5),
            key=word("SHA256:eve"),
            kind="interactive",
        )
        tx.add_session("i-1", eve, own=False, now=ago(days=5))
        tx.add_session(
            "i-1", session(user="mallory", started_at=ago(days=50), ended_at=ago(days=50)), own=False, now=ago(days=50)
        )
        tx.add_session("i-1", session(user="driftd", started_at=ago(days=4)), own=True, now=ago(days=4))
        changed = tx.add_finding("i-1", finding("a" * 16, subject=word("/etc/motd").encode() + b"\xff"), ago(days=5))
        numbers = {row.session.user: row.id for row in tx.sessions("i-1")}
        tx.attribute(changed.id, Attribution(Level.PROBABLE, word("alone"), eve), numbers[eve.user], ago(days=5))
        before = tx.add_finding("i-1", finding("b" * 16, subject=b"/etc/long-ago"), ago(days=50))
        tx.resolve_finding(before.id, ago(days=49))
        by = f"accepted by {word('ann')} until 2027-01-01: {word('mine')}"
        tx.add_finding("i-1", finding("c" * 16, subject=b"/etc/hosts", suppressed_by=by), ago(days=6))
        tx.add_suppression(Suppression(0, "c" * 16, "web", word("ann"), word("mine"), ago(days=6), NOW, 1))
        tx.put_hold(Hold(0, "i-1", "web", word("bob"), word("a crash"), ago(days=3), ago(days=2)))
        tx.set_pause(Pause("", word("cyd"), word("a fire"), ago(hours=1), hard=True))
        tx.journal(
            "human", word("everywhere"), {"did": "pause", "owner": word("cyd"), "reason": word("a fire")}, ago(hours=1)
        )
        why = f"{word('dan')} asked: {word('old kernel')}"
        done = record("01R", created_at=ago(days=4), entered_at=ago(days=4) + timedelta(minutes=12), old_id="i-0",
                      new_id="i-1", state=Step.SUCCEEDED, why=why, note=word("i-1 serves"), manual=True)  # fmt: skip
        tx.add_replacement(replace(done, state=Step.CONFIRMING))
        tx.save_replacement(done)
        tx.journal("human", "01R", {"to": "confirming", "why": why}, ago(days=4))
        body = {"breaker": "C1", "scope": "fleet", "to": "open", "why": word("many alike")}
        tx.journal("decision", "breaker/C1/fleet", body, ago(days=2))
        tx.put_breaker(Breaker("C1", "fleet", State.OPEN, word("many alike"), ago(days=2)))
    return recount(
        store, SINCE, NOW, NOW, every=lambda _group: timedelta(minutes=5), keys=keys or {}, tell=lambda *_: None
    )


def test_the_json_tells_all_of_the_period_and_nothing_of_before(store):
    period = told(store)
    found = json.loads(render(Format.JSON, period))
    PeriodShape.model_validate(found)
    jsonschema.Draft202012Validator(json.loads((DOCS / "report-period.schema.json").read_text())).validate(found)
    assert [one["id"] for one in found["fleet"]] == ["i-1", "i-2"]
    assert [one["user"] for one in found["sessions"]] == ["eve"]
    assert found["sessions"][0]["drifts"] == 1
    assert [one["signature"][0] for one in found["drifts"]] == ["c", "a"]
    assert found["drifts"][1]["subject_bytes"] == "L2V0Yy9tb3Rk/w=="
    assert (found["drifts"][1]["attribution"]["user"], found["drifts"][1]["resolved_at"]) == ("eve", None)
    assert found["drifts"][0]["accepted"].startswith("accepted by ann")
    (replaced,) = found["replacements"]
    assert (replaced["state"], replaced["took_s"], replaced["by_hand"]) == ("succeeded", 720.0, True)
    assert [(one["who"], one["did"]) for one in found["acts"]] == [("cyd", "pause"), ("dan", "replace")]
    assert [one["rule"] for one in found["tripped"]] == ["C1"]
    assert (found["holds"][0]["owner"], found["acceptances"][0]["owner"]) == ("bob", "ann")
    assert found["pauses"][0]["hard"] is True
    assert found["coverage"] == {"never": ["i-2"], "gaps": ["i-1"], "unknown": ["i-2"]}
    gap = found["fleet"][0]
    assert (gap["looks"], gap["longest_gap_s"]) == (5, 18 * 86400.0)
    assert gap["gap_from"] == ago(days=19).isoformat().replace("+00:00", "Z")
    assert (found["proof"]["ok"], found["proof"]["lines"], found["proof"]["checkpoint"]) == (True, 3, "none")


def test_the_published_schema_is_made_from_the_shape():
    assert json.loads((DOCS / "report-period.schema.json").read_text(encoding="utf-8")) == json_schema()


@pytest.mark.parametrize("form", [Format.TABLE, Format.HTML, Format.MARKDOWN])
def test_every_format_for_people_tells_all_of_it(store, form: Format):
    said = unescape(" ".join(render(form, told(store)).split()))
    for word in ("i-1", "golden-1", "eve", "SHA256:eve", "probable", "ann", "bob", "a crash", "cyd", "dan", "12 min"):
        assert word in said, word
    assert "i-old" not in said
    assert "mallory" not in said
    assert re.search(r"the (`journal's`|journal's) 3 lines verify", said)


@pytest.mark.parametrize("form", Format)
def test_what_is_planted_reaches_no_format_raw(store, form: Format):
    said = render(form, told(store, reported.PLANTED))
    assert UNSEEN.findall(said) == []
    assert "planted" in said
    if form is Format.HTML:
        assert tags(said) <= {
            "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "h2", "dl", "dt", "dd", "nav", "ul",
            "li", "b", "main", "section", "div", "table", "thead", "tbody", "tr", "th", "td", "p",
        }  # fmt: skip
    if form is Format.MARKDOWN:
        assert_harmless(said)


def tags(page: str) -> set[str]:
    found = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.add(tag)
            assert not any(name.startswith("on") or name in {"src", "srcset"} for name, _ in attrs)

    Reader().feed(page)
    return found


def assert_harmless(said: str) -> None:
    options = Options.CMARK_OPT_UNSAFE
    made = cmarkgfm.github_flavored_markdown_to_html(said, options)
    text = re.sub(r"<code>.*?</code>", "", made, flags=re.DOTALL)
    assert "planted" not in re.sub(r"<[^>]*>", "", text.replace("planted", "planted")) or "<a" not in text
    assert not re.search(r"<(a|img|script|b|del|em|strong(?!>(made|counted|replacements|coverage|proof|note)))\b", text)
    for table in re.findall(r"<table>.*?</table>", made, re.DOTALL):
        widths = {len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)}
        assert len(widths) == 1, "no cell breaks out of its row"


def test_a_broken_journal_is_told_and_is_exit_status_1(driftd, store, tmp_path: Path):
    import sqlite3

    told(store)
    store.close()
    assert driftd("report").status == 0
    with sqlite3.connect(tmp_path / "driftd.db") as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("UPDATE journal SET body = replace(body, 'a fire', 'a party')")
    raw.close()
    said = driftd("report", "--format", "json")
    assert (said.status, json.loads(said.out)["proof"]["ok"]) == (1, False)
    assert "BROKEN" in driftd("report").out


def test_a_checkpoint_counts_by_its_signature(driftd, store, tmp_path: Path):
    told(store)
    store.close()
    assert driftd("journal", "checkpoint").status == 0
    checkpoint = lambda: json.loads(driftd("report", "-f", "json").out)["proof"]["checkpoint"]  # noqa: E731  # short
    assert checkpoint() == "unsigned"
    assert driftd("manifest", "keygen", "release").status == 0
    (tmp_path / "driftd.yaml").write_text("trust: {signing_key: release}\n")
    assert driftd("pause", "--reason", "one line more").status == 0
    assert driftd("journal", "checkpoint").status == 0
    assert checkpoint() == "untrusted"
    (tmp_path / "driftd.yaml").write_text("trust: {signing_key: release, manifest_keys: [release.pub]}\n")
    assert checkpoint() == "trusted"


def test_the_time_is_chosen_and_wrong_ones_are_refused(driftd, store):
    told(store)
    found = json.loads(driftd("report", "--since", "60d", "--until", "31d", "-f", "json").out)
    assert [one["id"] for one in found["fleet"]] == ["i-1", "i-old"]
    assert [one["user"] for one in found["sessions"]] == ["mallory"]
    assert found["replacements"] == []
    day = f"{ago(days=5):%Y-%m-%d}"
    found = json.loads(driftd("report", "--since", day, "-f", "json").out)
    assert found["since"] == f"{day}T00:00:00Z"
    for words in (["--since", "soon"], ["--since", "1d", "--until", "2d"], ["--since", "2026-13-01"]):
        said = driftd("report", *words)
        assert (said.status, "next:" in said.err) == (2, True)


def test_it_is_written_whole_and_an_empty_store_is_a_report_too(driftd, store, tmp_path: Path):
    for form in Format:
        said = driftd("report", "-f", form, "-o", f"report.{form}")
        assert said.status == 0, said.err
        assert (tmp_path / f"report.{form}").read_text().endswith("\n")
        assert said.out == ""


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_keeps_to_its_width(store, width: int):
    from rich.console import Console

    from driftd.doors.report.period.table import show

    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    console.print(show(told(store), width))
    assert max(map(len, console.export_text().splitlines())) <= width
