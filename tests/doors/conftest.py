"""The command line as a person meets it: words in, an exit status, what was printed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from driftd import wiring


@dataclass
class Said:
    status: int
    out: str
    err: str


@pytest.fixture
def now_is_now(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's ``NOW``: commands go by the clock, and a whole run reads a module long before its tests begin."""
    monkeypatch.setattr(request.module, "NOW", datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def driftd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path):
    """Run one command in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["driftd", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            wiring.main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run
