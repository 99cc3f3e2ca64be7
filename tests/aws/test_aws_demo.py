"""``driftd demo --provider aws-emulated``: the demo's story by AWS's API."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def played(demo_cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The demo as a person would call it who has an account and a profile of AWS."""
    own = {"AWS_PROFILE": "production", "AWS_ACCESS_KEY_ID": "AKIAOWN", "AWS_SECRET_ACCESS_KEY": "own"}
    return subprocess.run(
        [sys.executable, "-m", "driftd", "demo", "--provider", "aws-emulated", *words],
        env={**os.environ, "XDG_CACHE_HOME": str(demo_cache), **own},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_story_holds_by_awss_api_and_nothing_of_it_stays(demo_cache: Path, tmp_path: Path):
    file = tmp_path / "outcome.json"
    done = played(demo_cache, "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(file.read_text())
    assert outcome["held"]
    assert outcome["failed"] == 0
    assert outcome["requests"] > 100
    assert outcome["slow_requests"] > 0
    assert {finding["kind"] for finding in outcome["findings"]} == {"file", "session"}
    assert outcome["journal"]["ok"]
    assert "an emulator's" in done.stdout, "who reads it knows that it was not AWS"
    assert "AKIAOWN" not in done.stdout + done.stderr
    assert not (demo_cache / "driftd-demo").exists()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(demo_cache).encode() in read(path)]
    assert left == []


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_package_index_that_cannot_be_reached_is_one_sentence(demo_cache: Path, monkeypatch: pytest.MonkeyPatch):
    (demo_cache / "driftd" / "moto").unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    done = played(demo_cache, "--keep")
    assert done.returncode == 2
    assert "moto cannot be installed" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (demo_cache / "driftd" / "moto" / ".made-from").exists(), "the next demo tries again"
