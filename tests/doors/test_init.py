"""``driftd init``: what it writes is taken by everything that reads a configuration, as it is and with each setting."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from driftd import settings
from driftd.doors.cli.init import Wish, render

TEXT = render(Wish("web", ["web-1.example"], "web-1", "root", "driftd_key"), system=False)
SETTING = re.compile(r"^(\s*)#(\S.*)$")
COMMENTED = [at for at, line in enumerate(TEXT.splitlines()) if SETTING.match(line)]


def uncommented(*which: int) -> str:
    lines = TEXT.splitlines()
    for at in which:
        lines[at] = SETTING.sub(r"\1\2", lines[at])
    return "\n".join(lines) + "\n"


def parents(at: int) -> list[int]:
    """The commented sections that line ``at`` is in."""
    lines, found = TEXT.splitlines(), []
    indent = len(SETTING.match(lines[at])[1])
    for above in reversed(range(at)):
        match = SETTING.match(lines[above])
        if match and len(match[1]) < indent and match[2].endswith(":"):
            found.append(above)
            indent = len(match[1])
        elif not match and lines[above].strip() and not lines[above].lstrip().startswith("#"):
            depth = len(lines[above]) - len(lines[above].lstrip())
            if depth < indent:
                break
    return found


def loaded(tmp_path: Path, text: str) -> settings.Settings:
    (tmp_path / "driftd.yaml").write_text(text)
    return settings.load(tmp_path / "driftd.yaml")


def test_there_are_settings_to_uncomment():
    assert len(COMMENTED) > 40


@pytest.mark.parametrize("at", COMMENTED, ids=lambda at: TEXT.splitlines()[at].strip("# ").split(":")[0])
def test_each_commented_setting_is_valid_when_it_is_uncommented(tmp_path: Path, at: int):
    line = TEXT.splitlines()[at]
    if line.rstrip().endswith(":"):
        nested = [one for one in COMMENTED if at in parents(one)]
        assert nested, f"{line}: a section without a setting"
        return  # it is uncommented with each setting in it
    plain, changed = loaded(tmp_path, TEXT), loaded(tmp_path, uncommented(at, *parents(at)))
    name = line.strip("# ").split(":")[0]
    assert name in changed.model_dump_json() or name in repr(changed)
    assert plain.groups.keys() == changed.groups.keys()


def test_all_of_them_together_are_valid_too(tmp_path: Path):
    whole = loaded(tmp_path, uncommented(*COMMENTED))
    assert whole.breakers.observe_first.total_seconds() == 24 * 3600
    assert whole.group("web").replacing.min_healthy == "80%"
    assert whole.group("web").enforce is settings.Enforce.OBSERVE


def test_what_is_said_to_be_a_default_is_one(tmp_path: Path):
    plain, whole = loaded(tmp_path, TEXT), loaded(tmp_path, uncommented(*COMMENTED))
    for section in ("metrics", "daemon", "ssh"):
        assert getattr(plain, section) == getattr(whole, section)
    for section in ("policy", "every", "watch"):
        assert getattr(plain.group("web"), section) == getattr(whole.group("web"), section)


def test_without_questions_it_writes_once_and_says_what_to_do_next(driftd, tmp_path: Path):
    said = driftd("init", "--yes", "--host", "deploy@web-7.example:2222", "--group", "edge", "--image", "e-9")
    assert said.status == 0, said.err
    loaded_now = settings.load(tmp_path / "driftd.yaml")
    assert loaded_now.group("edge").hosts == ["deploy@web-7.example:2222"]
    assert loaded_now.group("edge").image == "e-9"
    assert "driftd trust web-7.example:2222" in said.out
    assert "driftd manifest keygen release" in said.out
    before = (tmp_path / "driftd.yaml").read_text()
    again = driftd("init", "--yes")
    assert (again.status, "is there already" in again.err) == (2, True)
    assert (tmp_path / "driftd.yaml").read_text() == before
    assert driftd("init", "--yes", "--force").status == 0
    assert (tmp_path / "driftd.yaml").read_text() != before
    assert "it can be read and names 1 group" in driftd("doctor", "--no-login").out


def test_the_next_steps_work_as_they_are_written(driftd, tmp_path: Path):
    said = driftd("init", "--yes")
    (tmp_path / "tree/etc").mkdir(parents=True)
    for line in said.out.splitlines():
        command = line.strip().replace("DIR", "tree")
        if command.startswith(("mkdir ", "ssh-keygen ")):
            subprocess.run(shlex.split(command), check=True, cwd=tmp_path, capture_output=True)
        elif command.startswith(("driftd manifest", "driftd bake")):
            assert driftd(*shlex.split(command)[1:]).status == 0, command
    found = driftd("doctor", "--json").out
    assert '"says": "its manifest is signed' in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "a b"], "is no name for a group"),
        (["--host", "two hosts"], "is no host"),
        (["-o", "nowhere/driftd.yaml"], "does not exist"),
    ],
)
def test_wrong_answers_are_refused_and_nothing_is_written(driftd, tmp_path: Path, words: list[str], said: str):
    answer = driftd("init", "--yes", *words)
    assert (answer.status, said in answer.err) == (2, True), answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["null", "1e3", "a: b", "#x", '"', "0x10", "{a}", "*a", "y\tz", "ünï", "12:30:00", "-"]
)
def test_whatever_a_name_is_it_is_read_back_as_that_text(tmp_path: Path, text: str):
    made = render(Wish("web", ["h"], text, text, text), system=False)
    read = loaded(tmp_path, made)
    assert (read.group("web").image, read.ssh.user, read.ssh.key) == (text, text, text)


def test_below_etc_what_changes_lies_elsewhere(tmp_path: Path):
    read = loaded(tmp_path, render(Wish("web", ["h"], "i", "driftd", ""), system=True))
    assert (read.store, read.pause_file) == ("sqlite:////var/lib/driftd/driftd.db", "/run/driftd/pause")
    assert read.ssh.key == ""


def test_at_a_terminal_it_asks_and_takes_answers(tmp_path: Path):
    import pty

    main, other = pty.openpty()
    command = [sys.executable, "-m", "driftd", "init"]
    env = {**os.environ, "DRIFTD_CONFIG": "", "TERM": "dumb"}
    asked = subprocess.Popen(
        command, cwd=tmp_path, stdin=other, stdout=subprocess.PIPE, stderr=other, env=env, text=True
    )
    os.close(other)
    os.write(main, b"shop\nshop-1.example,shop-2.example\n\nops\n\n")
    out, _ = asked.communicate(timeout=60)
    os.close(main)
    assert asked.returncode == 0, out
    read = settings.load(tmp_path / "driftd.yaml")
    assert read.group("shop").hosts == ["shop-1.example", "shop-2.example"]
    assert (read.group("shop").image, read.ssh.user) == ("shop-1", "ops")
