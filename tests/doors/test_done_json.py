"""What commands did, as a program reads it; and what a shell completes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from store_rows import finding, instance, record

from driftd.core.replacement import State
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        tx.put_instance(instance("i-1", slot="web/1", first_seen=NOW, verdict_since=NOW, looked_at=NOW))
        tx.put_instance(instance("i-$(touch planted)", slot="web/2 x", first_seen=NOW))
        tx.put_instance(instance("i-gone", slot="web/9", gone_at=NOW))
        tx.add_finding("i-1", finding("ab" * 8), NOW)
        tx.add_replacement(record("01R", created_at=NOW, entered_at=NOW, state=State.ADMITTING))
    yield made
    made.close()


def did(said) -> dict:
    assert said.status == 0, said.err
    value = json.loads(said.out)
    assert (value["schema"], bool(value["said"])) == ("driftd.done/1", True)
    return value


def test_everything_that_is_done_is_one_object(driftd, store, tmp_path: Path):
    assert did(driftd("hold", "web/1", "--reason", "a crash", "--json"))["instance"] == "web/1"
    assert did(driftd("release", "web/1", "--json"))["did"] == "release"
    assert did(driftd("approve", "01R", "--json"))["replacement"] == "01R"
    assert did(driftd("deny", "01R", "--json"))["did"] == "deny"
    paused = did(driftd("pause", "--reason", "a fire", "--hard", "--json"))
    assert (paused["group"], paused["hard"]) == ("", True)
    assert did(driftd("resume", "--json"))["was_paused"] is True
    accepted = did(driftd("accept", "ab" * 8, "--reason", "mine", "--json"))
    assert (accepted["no"], accepted["signature"]) == (1, "ab" * 8)
    assert datetime.fromisoformat(accepted["until"]) > NOW
    assert did(driftd("unaccept", "1", "--json"))["no"] == 1
    made = did(driftd("manifest", "keygen", "release", "--json"))
    assert Path(made["public"]).is_file()
    (tmp_path / "tree").mkdir()
    baked = did(driftd("bake", "--root", "tree", "--image", "img", "-o", "m", "--sign-with", "release", "--json"))
    assert (baked["image"], baked["provisional"]) == ("img", False)
    assert did(driftd("manifest", "sign", "m", "--key", "release", "--json"))["sequence"] == 2
    verified = driftd("manifest", "verify", "m", "--key", "release.pub", "--format", "json")
    assert (verified.status, "image" in json.loads(verified.out)) == (0, True)
    assert driftd("manifest", "verify", "m", "--format", "json").status == 1
    assert did(driftd("journal", "checkpoint", "--json"))["signed"] is False
    assert did(driftd("store", "upgrade", "--json"))["sentences"]


def completed(tmp_path: Path, line: str) -> list[str]:
    """What bash would be offered at the end of ``line``."""
    words = line.split(" ")
    env = {
        **os.environ,
        "_DRIFTD_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "DRIFTD_CONFIG": "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "driftd"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_names_that_the_store_knows(store, tmp_path: Path):
    assert completed(tmp_path, "driftd hold ") == ["i-1", "web/1"], "none that is gone or that a shell would run"
    assert completed(tmp_path, "driftd hold we") == ["web/1"]
    assert completed(tmp_path, "driftd approve ") == ["01R", "web/1"]
    assert completed(tmp_path, "driftd status ") == ["web"]
    assert completed(tmp_path, "driftd explain ab") == ["ab" * 8]
    assert completed(tmp_path, "driftd do") == ["doctor"]
    assert completed(tmp_path, "driftd journal v") == ["verify"]


@pytest.mark.parametrize("config", ["store: sqlite:///nowhere/x.db\n", "groups: [broken\n", "store: postgres://x/y\n"])
def test_where_nothing_can_be_read_nothing_is_completed_and_nothing_said(tmp_path: Path, config: str):
    (tmp_path / "driftd.yaml").write_text(config)
    assert completed(tmp_path, "driftd hold ") == []
    (tmp_path / "driftd.db").write_bytes(b"no database" * 500)
    (tmp_path / "driftd.yaml").unlink()
    assert completed(tmp_path, "driftd hold ") == []


def test_a_name_that_nobody_knows_gets_the_nearest_one(driftd, store):
    for words in (["hold", "wbe/1", "--reason", "x"], ["history", "wbe/1"], ["explain", "wbe/1"]):
        said = driftd(*words)
        assert (said.status, "did you mean web/1?" in said.err) == (2, True), said.err
