"""Commands from outside: exit statuses, one sentence for each mistake, and that nothing is lost."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.doors.cli import program

STATIC = """\
trust: {{unsigned: look}}
store: sqlite:///driftd.db
ssh: {{key: key, connect_timeout: 1s, look_timeout: 3s}}
groups:
  web:
    provider: static
    image: img
    hosts: [{host}]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for folder in ("etc", "usr/bin", "var/log"):
        (root / folder).mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)
    return root


@pytest.fixture
def baked(driftd, tree: Path, tmp_path: Path) -> Path:
    file = tmp_path / "img.manifest"
    said = driftd("bake", "--root", tree, "--image", "img", "-o", file)
    assert said.status == 0, said.err
    return file


def test_baking_twice_gives_the_same_bytes(driftd, tree: Path, baked: Path, tmp_path: Path):
    again = tmp_path / "again"
    os.utime(tree / "etc/motd", (1, 1))
    assert driftd("bake", "--root", tree, "--image", "img", "-o", again).status == 0
    assert again.read_bytes() == baked.read_bytes()


@pytest.mark.parametrize("linked", [False, True])
def test_nothing_but_a_file_is_ever_replaced(driftd, tree: Path, tmp_path: Path, linked: bool):
    there = tmp_path / "there"
    os.mkfifo(there)  # as a device: what root would put a file in the place of
    output = tmp_path / "link" if linked else there
    if linked:
        output.symlink_to(there)
    said = driftd("bake", "--root", tree, "--image", "img", "-o", output)
    assert said.status == 2
    assert "it is no regular file" in said.err
    assert there.is_fifo()


def test_an_image_that_holds_an_identity_is_baked_and_told_of(driftd, tree: Path, tmp_path: Path):
    (tree / "etc/machine-id").write_text("uninitialized\n")
    assert "own" not in driftd("bake", "--root", tree, "--image", "img", "-o", tmp_path / "m").err
    (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    said = driftd("bake", "--root", tree, "--image", "img", "-o", tmp_path / "m")
    assert said.status == 0
    assert "each instance's own: /etc/machine-id;" in " ".join(said.err.split())


def test_a_still_tree_is_clean(driftd, tree: Path, baked: Path):
    said = driftd("audit", "--root", tree, "--manifest", baked)
    assert (said.status, "clean" in said.out) == (0, True)


def test_drift_is_exit_status_1_with_its_evidence(driftd, tree: Path, baked: Path):
    (tree / "usr/bin/tool").write_text("#!/bin/sh\nevil\n")
    (tree / "etc" / "new\n[red]name\x1b[2J").write_text("x")
    said = driftd("audit", "--root", tree, "--manifest", baked)
    assert said.status == 1
    assert "driftd accept" not in said.out  # of a directory nothing is remembered
    assert "/usr/bin/tool" in said.out
    assert r"new\x0a[red]name\x1b[2J" in said.out
    assert "\x1b[2J" not in said.out


def test_a_report_in_json_follows_its_schema(driftd, tree: Path, baked: Path, tmp_path: Path):
    os.mkdir(os.fsencode(tree) + b"/etc/\xff")
    said = driftd("audit", "--root", tree, "--manifest", baked, "--format", "json")
    (instance,) = json.loads(said.out)["instances"]
    (finding,) = instance["findings"]
    assert json.loads(said.out)["schema"] == "driftd.report/1"
    assert {"id", "image", "verdict", "reason", "root", "coverage", "findings"} <= instance.keys()
    assert {"kind", "subject", "change", "severity", "signature", "expected", "actual", "because"} <= finding.keys()
    assert (finding["subject"], finding["change"], finding["subject_bytes"]) == (r"/etc/\xff", "added", "L2V0Yy//")
    written = driftd("audit", "--root", tree, "--manifest", baked, "-f", "json", "-o", tmp_path / "report.json")
    assert written.status == 1
    assert json.loads((tmp_path / "report.json").read_text())["instances"][0]["findings"] == [finding]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "--root", "tree"], "--root and --manifest go together"),
        (["audit", "--root", "tree", "--manifest", "none"], "none"),
        (["audit", "--root", "nowhere", "--manifest", "img.manifest"], "nowhere"),
        (["audit"], "no group is configured"),
        (["bake", "--image", "x", "-o", "y"], "bake reads one thing"),
        (["bake", "--root", "nowhere", "--image", "x", "-o", "y"], "nowhere"),
        (["--config", "none.yaml", "audit"], "cannot read the configuration"),
        (["status"], "store"),
        (["policy", "check", "nonesuch"], "nonesuch"),
        (["accept", "1", "--for", "soon", "--reason", "x"], "--for 'soon'"),
        (["trust", "127.0.0.1:1"], "127.0.0.1"),
        (["nonsense"], "No such command"),
        (["audit", "--format", "xml"], "xml"),
        (["unaccept", "one"], "see: driftd unaccept --help"),
        (["manifest", "nonsense"], "see: driftd manifest --help"),
        (["explain"], "Missing argument"),
        (["bake"], "Missing option '--image'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_status_2_or_3(driftd, baked: Path, words: list[str], said: str):
    answer = driftd(*words)
    assert answer.status in {2, 3}
    assert said in answer.err + answer.out
    assert "Traceback" not in answer.err
    assert "a mistake of driftd's own" not in answer.err


@pytest.mark.parametrize("words", [[], ["manifest"], ["policy"]])
def test_a_command_group_alone_shows_its_help_and_nothing_else(driftd, words: list[str]):
    answer = driftd(*words)
    assert (answer.status, answer.err) == (2, "")
    assert f"Usage: {' '.join(['driftd', *words])} [OPTIONS] COMMAND" in answer.out


@pytest.mark.parametrize("damage", ["cut", "flip", "other", "empty"])
def test_a_damaged_manifest_is_never_taken_for_a_whole_one(driftd, tree: Path, baked: Path, damage: str):
    data = baked.read_bytes()
    baked.write_bytes(
        {"cut": data[:-40], "flip": data.replace(b"motd", b"mott"), "other": b"hello\n", "empty": b""}[damage]
    )
    said = driftd("audit", "--root", tree, "--manifest", baked)
    assert said.status == 2
    assert re.search(r"img\.manifest is not a manifest that can be trusted: ", said.err)


def configured(tmp_path: Path, host: str) -> None:
    (tmp_path / "driftd.yaml").write_text(STATIC.format(host=host))
    (tmp_path / "manifests").mkdir(exist_ok=True)


def test_an_image_without_a_manifest_is_unknown_and_says_how_to_make_one(driftd, tmp_path: Path):
    configured(tmp_path, "127.0.0.1:1")
    said = driftd("audit")
    assert said.status == 3
    assert "no manifest for img" in said.out
    assert "driftd bake" in said.out


def test_an_unreachable_host_is_unknown(driftd, tmp_path: Path, baked: Path):
    configured(tmp_path, "127.0.0.1:1")
    (tmp_path / "manifests" / "img.manifest").write_bytes(baked.read_bytes())
    said = driftd("audit")
    assert said.status == 3
    assert "unknown" in said.out
    assert "127.0.0.1" in said.out


def test_a_host_that_says_nothing_is_unknown_in_time(driftd, tmp_path: Path, baked: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configured(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        (tmp_path / "manifests" / "img.manifest").write_bytes(baked.read_bytes())
        said = driftd("audit")
    assert said.status == 3


def test_pausing_and_resuming_stand_in_the_journal(driftd, tmp_path: Path):
    configured(tmp_path, "127.0.0.1:1")
    assert driftd("pause", "--reason", "a fire").status == 0
    assert "PAUSED everywhere" in driftd("status").out
    assert driftd("resume").status == 0
    assert "PAUSED" not in driftd("status").out
    lines = [json.loads(line) for line in driftd("journal", "show", "--json").out.splitlines()]
    assert [line["body"]["did"] for line in lines] == ["pause", "resume"]
    assert driftd("journal", "verify").status == 0


def test_the_pause_file_holds_when_the_store_cannot_be_reached(driftd, tmp_path: Path):
    configured(tmp_path, "127.0.0.1:1")
    (tmp_path / "driftd.db").write_bytes(b"this is no database" * 100)
    said = driftd("pause", "--reason", "a fire")
    assert said.status == 0
    assert "a fire" in (tmp_path / "driftd.pause").read_text()
    assert driftd("journal", "verify").status == 3


def test_a_provider_that_cannot_replace_says_so(driftd, tmp_path: Path):
    configured(tmp_path, "127.0.0.1:1")
    said = driftd("replace", "web", "--reason", "just because")
    assert said.status == 2
    assert "provider static cannot launch instances" in said.err


def test_every_command_has_help_that_fits_a_terminal(driftd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [command.callback.__name__ for command in program.whole().registered_commands]
    for words in [[], *([name] for name in names), ["journal", "verify"], ["journal", "show"], ["policy", "check"]]:
        said = driftd(*words, "--help")
        assert said.status == 0
        assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_who_only_asks_for_help_does_not_wait_for_commands(words: list[str]):
    asked = "import sys, driftd.__main__ as door\ntry: door.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    said = subprocess.run([sys.executable, "-c", asked, *words], capture_output=True, text=True, check=False)
    assert "driftd" in said.stdout + said.stderr
    read = set(said.stderr.split())
    assert ("typer" in read) is (words != ["--help"])
    assert not {"driftd.doors.cli.audit", "driftd.core.manifest", "sqlmodel", "pydantic", "yaml", "markdown_it"} & read


def test_the_version_is_said(driftd):
    assert re.fullmatch(r"driftd \d+\.\d+\.\d+\n", driftd("--version").out)


# --- secrets ---------------------------------------------------------------------------------------------------------

HASH, OTHER = "$6$saltsalt$baked", "$6$saltsalt$another"


@pytest.fixture
def secretive(tree: Path) -> Path:
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/shadow").write_text(f"root:{HASH}:19000:0:99999:7:::\n")
    return tree


def bake(driftd, tree: Path, file: Path) -> bytes:
    assert driftd("bake", "--root", tree, "--image", "img", "-o", file).status == 0
    return file.read_bytes()


def test_another_password_is_found_by_a_digest_that_says_nothing_else(driftd, secretive: Path, tmp_path: Path):
    file = tmp_path / "m"
    text = bake(driftd, secretive, file)
    key = (tmp_path / "keys" / "img.digest-key").read_text().strip()
    assert re.search(rb"\nkey [0-9a-f]{16}\n", text)
    assert re.search(rb"\naccount root digest=[0-9a-f]{32} ", text)
    assert bake(driftd, secretive, tmp_path / "again") == text
    (secretive / "etc/shadow").write_text(f"root:{OTHER}:19000:0:99999:7:::\n")
    said = driftd("audit", "--root", secretive, "--manifest", file, "-f", "json")
    found = {one["kind"]: one for one in json.loads(said.out)["instances"][0]["findings"]}
    assert set(found["account"]["actual"]) == {"digest"}
    assert found["account"]["severity"] == "critical"
    table = driftd("audit", "--root", secretive, "--manifest", file)
    # Nothing that was written or printed has the key or a hash, but the key's own file.
    written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file() and "tree" not in one.parts)
    everything = written.replace(key.encode(), b"", 1) + (said.out + said.err + table.out + table.err).encode()
    for secret in (key.encode(), bytes.fromhex(key), HASH.encode(), OTHER.encode(), b"saltsalt"):
        assert secret not in everything


def test_without_the_key_passwords_are_not_compared_and_that_is_said_once(driftd, secretive: Path, tmp_path: Path):
    text = bake(driftd, secretive, tmp_path / "m")
    key_id = re.search(rb"\nkey ([0-9a-f]{16})\n", text)[1].decode()
    (tmp_path / "keys" / "img.digest-key").unlink()
    said = driftd("audit", "--root", secretive, "--manifest", tmp_path / "m", "-f", "json")
    assert said.status == 0
    reason = json.loads(said.out)["instances"][0]["reason"]
    assert reason.count(f"passwords are not compared: the key {key_id} is not here") == 1


def test_another_key_gives_other_digests(driftd, secretive: Path, tmp_path: Path):
    first = bake(driftd, secretive, tmp_path / "m")
    (tmp_path / "keys" / "img.digest-key").unlink()
    second = bake(driftd, secretive, tmp_path / "m")
    digests = {re.search(rb"digest=([0-9a-f]{32})", text)[1] for text in (first, second)}
    assert len(digests) == 2
