"""The configuration: a file, the environment over it, and mistakes that name file, line and remedy."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from driftd import settings
from driftd.core.errors import BadInput

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


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("stor: x\n", 1, "unknown key 'stor'", "did you mean 'store'?"),
        ("groups:\n  web:\n    provider: a\n    enforc: x\n", 4, "unknown key 'groups.web.enforc'", "'enforce'"),
        ("groups:\n  web:\n    provider: a\n    replacing:\n      soack: 1m\n", 5, "soack", "'soak'"),
        ("groups:\n  web:\n    provider: a\n    enforce: always\n", 4, "'observe' or 'replace'", "write one of"),
        ("groups:\n  web:\n    provider: a\n    every: soon\n", 4, "'soon' is not a duration", ""),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      quiece: [x]\n", 5, "quiece", "'quiesce'"),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      serve: start it\n", 5, "groups.web.hooks.serve", ""),
        ("groups:\n  web:\n    provider: a\n    hooks:\n      timeout: 0s\n", 5, "groups.web.hooks.timeout", ""),
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
    assert settings.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5x", None, 5])
def test_what_is_not_a_duration_is_refused(text: object):
    with pytest.raises(ValueError, match="is not a duration"):
        settings.duration(text)


def test_the_configuration_in_the_docs_loads(tmp_path: Path):
    text = (ROOT / "docs" / "configuration.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    loaded = load(tmp_path, example)
    assert loaded.group("web").replacing == settings.Replacing()
    assert loaded.daemon == settings.Daemon()
