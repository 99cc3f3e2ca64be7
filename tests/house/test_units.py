"""The units say what systemd understands, and are as hardened as docs/service.md says."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def analyze(*words: object) -> str:
    done = subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As they are, but for the program, which is installed nowhere here."""
    for unit in UNITS.glob("driftd*"):
        if unit.suffix in {".service", ".timer"}:
            (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/driftd", "/bin/true"))
    return tmp_path


@pytest.mark.parametrize("name", ["driftd.service", "driftd-self.service", "driftd-self.timer"])
def test_a_unit_is_understood(units: Path, name: str):
    assert analyze("verify", "--man=no", units / name) == ""


@pytest.mark.parametrize(("name", "most"), [("driftd.service", 2.0), ("driftd-self.service", 5.5)])
def test_a_unit_is_as_hardened_as_the_page_says(units: Path, name: str, most: float):
    said = analyze("security", "--offline=true", f"--threshold={most * 10:.0f}", "--no-pager", units / name)
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert f"| `{name}` | {level} |" in PAGE


def test_what_a_unit_starts_is_a_command_that_exists():
    from driftd.doors.cli import program

    known = {command.name or command.callback.__name__ for command in program.whole().registered_commands}
    for unit in UNITS.glob("*.service"):
        (line,) = re.findall(
            r"^ExecStart=/usr/bin/driftd --config /etc/driftd/driftd.yaml (\S+)", unit.read_text(), re.MULTILINE
        )
        assert line in known
