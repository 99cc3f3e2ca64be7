"""The configuration: a file, the environment over it, and mistakes that name file, line and remedy."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd import settings
from driftd.core.errors import BadInput
from driftd.core.guards.case import AtOnce, Grace, GroupRules, Pace
from driftd.edges.ssh.options import CertificateOptions
from driftd.settingparts import duration
from driftd.wiring.guarding import rules_of
from driftd.wiring.looking import certificates

ROOT = Path(__file__).resolve().parents[2]


def load(tmp_path: Path, text: str) -> settings.Settings:
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    return settings.load(file)


def test_the_default_stance_is_to_observe(tmp_path: Path):
    loaded = load(tmp_path, "groups: {web: {provider: static}}\n")
    assert loaded.group("web").enforce is settings.Enforce.OBSERVE


def test_paths_are_relative_to_the_file(tmp_path: Path):
    assert load(tmp_path, "manifests: m\n").path("m") == tmp_path / "m"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DRIFTD_METRICS__LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("DRIFTD_STORE", "sqlite:///other.db")
    loaded = load(tmp_path, "store: sqlite:///file.db\nmetrics: {listen: '127.0.0.1:2'}\ndaemon: {lookers: 3}\n")
    assert (loaded.store, loaded.metrics.listen, loaded.daemon.lookers) == ("sqlite:///other.db", "127.0.0.1:1", 3)


def test_certificates_are_made_as_the_file_says(tmp_path: Path):
    page = (ROOT / "docs" / "configuration.md").read_text()
    (line,) = re.findall(r"^  # (certificate: .*)$", page, re.MULTILINE)
    made = certificates(load(tmp_path, f"ssh:\n  {line}\n"))
    assert made == CertificateOptions("/etc/driftd/ca", 300.0, ("driftd",), ("192.0.2.10/32",), forced=True)
    assert certificates(load(tmp_path, "ssh: {certificate: {ca: keys/ca}}\n")) == CertificateOptions(
        str(tmp_path / "keys" / "ca"), 300.0
    )
    assert certificates(load(tmp_path, "ssh: {key: k}\n")) is None


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{key: k, certificate: {ca: c}}", "key and certificate exclude each other"),
        ("{certificate: {ca: c, source_address: [here]}}", "'here' is no network"),
        ("{certificate: {ca: c, source_address: [10.0.0.1/8]}}", "'10.0.0.1/8' is no network"),
        ("{certificate: {ca: c, valid: 3d}}", "valid"),
        ("{certificate: {}}", "ca"),
    ],
)
def test_certificates_that_make_no_sense_are_refused(tmp_path: Path, said: str, complaint: str):
    with pytest.raises(BadInput, match=re.escape(complaint)):
        load(tmp_path, f"ssh: {said}\n")


REPLACING = "groups:\n  web:\n    provider: a\n    replacing:\n      "
SESSIONS = "groups:\n  web:\n    provider: a\n    sessions:\n      "


def guards_of(loaded: settings.Settings) -> GroupRules:
    return rules_of(loaded, "web", loaded.group("web"))


def test_the_defaults_are_those_that_the_page_tells(tmp_path: Path):
    rules = guards_of(load(tmp_path, "groups: {web: {provider: static}}\n"))
    assert rules == GroupRules("web")
    assert not rules.replaces
    assert not rules.calendar.chosen


def test_every_guard_can_be_set(tmp_path: Path):
    text = (
        REPLACING
        + """min_healthy: 80%
      at_once: 25%
      most_at_once: 7
      allow_singleton: true
      windows: [daily 22:00-04:00, "sat,sun 00:00-24:00"]
      zone: Europe/Berlin
      freezes: [2026-11-27, 2026-12-23..2027-01-02]
      pace: {between: 0s, per_hour: unlimited, per_day: unlimited, checkpoints: [], checkpoint: 1m}
      back_off: 5m
    sessions: {grace: 1m, cap: 2h}
    enforce: approve
daemon: {at_once: 3}
"""
    )
    rules = guards_of(load(tmp_path, text))
    assert (rules.min_healthy, rules.min_percent, rules.at_once) == (0, 80, AtOnce(25, 7, 3))
    assert rules.pace == Pace(timedelta(0), None, None, (), timedelta(minutes=1))
    assert (rules.replaces, rules.approve, rules.allow_singleton) == (True, True, True)
    assert (rules.grace, rules.back_off) == (Grace(timedelta(minutes=1), timedelta(hours=2)), timedelta(minutes=5))
    assert [str(one) for one in rules.calendar.windows] == ["daily 22:00-04:00", "sat-sun 00:00-00:00"]
    assert [str(one) for one in rules.calendar.freezes] == ["2026-11-27", "2026-12-23..2027-01-02"]
    assert (str(rules.calendar.zone), rules.calendar.chosen) == ("Europe/Berlin", True)


@pytest.mark.parametrize(
    ("text", "least"), [("3", (3, 0)), ("0", (0, 0)), ("80%", (0, 80)), ("0%", (0, 0)), ("100%", (0, 100))]
)
def test_a_count_is_no_percentage_and_the_other_way_round(tmp_path: Path, text: str, least: tuple[int, int]):
    rules = guards_of(load(tmp_path, f"{REPLACING}min_healthy: {text}\n"))
    assert (rules.min_healthy, rules.min_percent) == least


def test_windows_always_are_open_at_any_hour(tmp_path: Path):
    calendar = guards_of(load(tmp_path, f"{REPLACING}windows: always\n      freezes: [2026-12-24]\n")).calendar
    assert calendar.is_open(datetime(2026, 12, 27, 3, tzinfo=UTC))
    assert not calendar.is_open(datetime(2026, 12, 24, 12, tzinfo=UTC))


HOOK = "groups:\n  web:\n    provider: a\n    hooks:\n      %s\n"


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("stor: x\n", 1, "unknown key 'stor'", "did you mean 'store'?"),
        ("groups:\n  web:\n    provider: a\n    enforc: x\n", 4, "unknown key 'groups.web.enforc'", "'enforce'"),
        ("groups:\n  web:\n    provider: a\n    replacing:\n      soack: 1m\n", 5, "soack", "'soak'"),
        (
            "groups:\n  web:\n    provider: a\n    enforce: always\n",
            4,
            "'observe', 'approve' or 'replace'",
            "write one of",
        ),
        (REPLACING + "windows: [mon-thu 9-16]\n", 5, "'mon-thu 9-16' is not a window; write it like", ""),
        (REPLACING + "windows: [sun 10:00-11:00, mo 09:00-16:00]\n", 5, "names no day: 'mo'", ""),
        (REPLACING + "windows: never\n", 5, "replacing.windows", ""),
        (REPLACING + "zone: Europe/Atlantis\n", 5, "'Europe/Atlantis' is no time zone; write one of the IANA", ""),
        (REPLACING + "zone: ../../etc/passwd\n", 5, "is no time zone", ""),
        (REPLACING + "freezes: [24.12.2026]\n", 5, "'24.12.2026' is not a day; write it like", ""),
        (REPLACING + "freezes: [2026-12-24..2026-12-01]\n", 5, "ends before it begins", ""),
        (REPLACING + "min_healthy: 120%\n", 5, "'120%' is not a percentage; write it like 20%", ""),
        (REPLACING + "min_healthy: -1\n", 5, "replacing.min_healthy", ""),
        (REPLACING + "at_once: a few\n", 5, "'a few' is not a percentage", ""),
        (REPLACING + "most_at_once: 0\n", 5, "replacing.most_at_once", ""),
        (REPLACING + "pace: {per_hour: 0}\n", 5, "pace.per_hour", ""),
        (REPLACING + "pace: {per_day: lots}\n", 5, "pace.per_day", ""),
        (REPLACING + "sessions: {cap: 2h}\n", 4, "sessions stands beside replacing now", ""),
        (SESSIONS + "cap: long\n", 5, "'long' is not a duration", ""),
        (SESSIONS + "interactive: quarantine\n", 5, "'observe', 'alert' or 'replace'", "write one of"),
        (SESSIONS + "interactiv: alert\n", 5, "unknown key 'groups.web.sessions.interactiv'", "'interactive'"),
        (SESSIONS + "grace: 2h\n      cap: 1h\n", 4, "a grace longer than the cap", ""),
        ("groups:\n  web:\n    provider: a\n    every: soon\n", 4, "'soon' is not a duration", ""),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      quiece: [x]\n", 5, "quiece", "'quiesce'"),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      serve: start it\n", 5, "groups.web.hooks.serve", ""),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      timeout: 0s\n", 5, "groups.web.hooks.timeout", ""),
        (HOOK % "pre_drain: {url: x, comand: [y]}", 5, "groups.web.hooks.pre_drain.comand", "'command'"),
        (HOOK % "pre_drain: {url: x, command: [y]}", 5, "groups.web.hooks.pre_drain", ""),
        (HOOK % "pre_drain: {timeout: 3s}", 5, "groups.web.hooks.pre_drain", ""),
        (HOOK % "pre_drain: {command: [y], token_file: z}", 5, "groups.web.hooks.pre_drain", ""),
        (HOOK % "pre_drain: {command: [y], on_failure: retry}", 5, "groups.web.hooks.pre_drain.on_failure", "abort"),
        (HOOK % "pre_drain: {command: [y], timeout: 0s}", 5, "groups.web.hooks.pre_drain.timeout", ""),
        (HOOK % "pre_drain: {command: [1]}", 5, "groups.web.hooks.pre_drain.command[0]", ""),
        (HOOK % "quorum: {command: [y], on_failure: abort}", 4, "groups.web.hooks", ""),
        (HOOK % "serve: {command: [y], within: 1m}", 4, "groups.web.hooks", ""),
        (HOOK % "{quiesce: [y], step_down: {command: [y], on_failure: hold}}", 4, "groups.web.hooks", ""),
        ("groups:\n  web:\n    hosts: [a]\n", 2, "groups.web.provider: is required", ""),
        ("daemon:\n  lookers: many\n", 2, "daemon.lookers", ""),
        ("- a\n", 1, "mapping", "configuration.md"),
    ],
)
def test_a_mistake_names_file_line_and_remedy(tmp_path: Path, text: str, line: int, said: str, hint: str):
    with pytest.raises(BadInput) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/driftd.yaml:{line}: ")
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(BadInput, match=r"cannot read the configuration .*: No such file"):
        settings.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("7d", 604800), ("0.5s", 0.5), ("2m30s", 150)]
)
def test_durations_are_written_as_people_write_them(text: str, seconds: float):
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5x", None, 5])
def test_what_is_not_a_duration_is_refused(text: object):
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


def test_the_configuration_in_the_docs_loads(tmp_path: Path):
    text = (ROOT / "docs" / "configuration.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    loaded = load(tmp_path, example)
    assert loaded.group("web").replacing == settings.Replacing()
    assert guards_of(loaded).calendar.chosen
    assert loaded.daemon == settings.Daemon()
