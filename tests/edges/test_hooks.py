"""Hooks: commands that do well, badly, slowly, loudly or not at all; the fake keeps the same contract."""

from __future__ import annotations

import os
import resource
import signal
import stat
import time

import pytest
from servers import wait_until

from driftd.core.facts import Instance, Unseen
from driftd.core.ports import HookName, LaunchRequest
from driftd.edges import hooks as edge
from driftd.edges.hooks import CommandHooks
from driftd.testing import FakeProvider, HooksContract

DB = Instance("i-1", "db", "db-7", slot="db/0", address="192.0.2.9")


class TestFake(HooksContract):
    @pytest.fixture
    def hooks(self):
        self.fake = FakeProvider()
        self.fake.hooked = {HookName.QUIESCE, HookName.SERVE, HookName.QUORUM}
        self.fake.quorum_answer = b'{"members": 3}'
        return self.fake.hooks

    @pytest.fixture
    def instance(self, hooks):
        return self.fake.compute.launch(LaunchRequest("db", "db/0", "db-7", "token"))

    def fail(self, hooks, name, why):
        self.fake.hook_failures[name] = why
        self.fake.quorum_answer = Unseen(why)


class TestCommands(HooksContract):
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("quiesce", "serve"):
            script(tmp_path / name, f"touch {tmp_path}/{name}.done")
        script(tmp_path / "quorum", """echo warming up >&2; printf '{"members": 3}'""")
        return tmp_path

    @pytest.fixture
    def hooks(self, folder):
        self.folder = folder
        return CommandHooks(
            {HookName(n): [str(folder / n)] for n in ("quiesce", "serve", "quorum")} | {HookName.STEP_DOWN: []}
        )

    @pytest.fixture
    def instance(self):
        return DB

    def fail(self, hooks, name, why):
        script(self.folder / name.value, f"echo first; echo; echo {why!r} >&2; exit 3")


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def shell(text, name=HookName.QUIESCE, **options):
    return CommandHooks({name: ["sh", "-c", text]}, **options)


def test_it_is_told_what_it_is_about_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("DRIFTD_STORE", "postgresql://ann:secret@db/driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    facts = {"rid": "r-1", "volumes": "data-0 data-1", "instance": "i-other", "hook": "serve"}
    why = shell(f"env -0 >{tmp_path}/env; pwd >{tmp_path}/pwd").run(HookName.QUIESCE, DB, "db", facts)
    assert why == ""
    told = dict(item.split("=", 1) for item in (tmp_path / "env").read_text().split("\0") if item)
    assert {key: value for key, value in told.items() if key.startswith("DRIFTD_")} == {
        "DRIFTD_HOOK": "quiesce",
        "DRIFTD_INSTANCE": "i-1",
        "DRIFTD_ADDRESS": "192.0.2.9",
        "DRIFTD_GROUP": "db",
        "DRIFTD_SLOT": "db/0",
        "DRIFTD_IMAGE": "db-7",
        "DRIFTD_RID": "r-1",
        "DRIFTD_VOLUMES": "data-0 data-1",
    }
    assert told.keys() - {"PATH", "HOME", "USER", "TZ", "LC_ALL", "PWD", "SHLVL", "OLDPWD", "_"} <= {
        key for key in told if key.startswith("DRIFTD_")
    }
    assert "secret" not in str(told)
    assert (tmp_path / "pwd").read_text() == "/\n"


def test_there_is_no_shell_between(tmp_path):
    words = ["$(touch /tmp/x)", "a b", ";", "*"]
    hooks = CommandHooks({HookName.SERVE: [script(tmp_path / "one", f'printf "%s\\n" "$@" >{tmp_path}/words'), *words]})
    assert hooks.run(HookName.SERVE, DB, "db", {}) == ""
    assert (tmp_path / "words").read_text().splitlines() == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 3", "failed with status 3: it said nothing"),
        ("echo out; exit 1", "failed with status 1: out"),
        ("echo out; echo one >&2; echo two >&2; echo >&2; exit 1", "failed with status 1: two"),
        ("kill -9 $$", "was ended by signal 9: it said nothing"),
        ("printf '\\033[2J\\033]0;x\\007bad\\rworse\\377' >&2; exit 1", "failed with status 1: worse\ufffd"),
        ("printf 'a\\033[2Jb' >&2; exit 1", "failed with status 1: a?[2Jb"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "failed with status 1: " + "x" * 199 + "…"),
    ],
)
def test_why_not_is_its_last_word_made_harmless(text, said):
    assert shell(text).run(HookName.QUIESCE, DB, "db", {}) == f"the quiesce hook of db on i-1 {said}"


def test_its_words_are_of_no_account_when_it_is_done():
    assert shell("echo error >&2; echo fatal").run(HookName.QUIESCE, DB, "db", {}) == ""


def test_what_cannot_be_started_is_said(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for program, said in (("/no/such/program", "No such file or directory"), (str(plain), "Permission denied")):
        why = CommandHooks({HookName.SERVE: [program]}).run(HookName.SERVE, DB, "db", {})
        assert why == f"the serve hook of db on i-1 could not be started: {program}: {said}"
    assert "NUL" in shell("true").run(HookName.QUIESCE, DB, "db", {"rid": "a\0b"})
    assert "could not be started" in shell("true").run(HookName.QUIESCE, DB, "db", {"rid": "x" * (1 << 20)})


def test_its_time_is_over_for_all_that_it_started(tmp_path):
    text = f"""trap '' TERM; for n in 1 2; do sh -c 'echo $$ >{tmp_path}/'$n'; exec sleep 60' & done; wait"""
    begun = time.monotonic()
    why = shell(text, timeout_s=0.5).run(HookName.QUIESCE, DB, "db", {})
    assert why == "the quiesce hook of db on i-1 did not finish within 0.5 s"
    assert time.monotonic() - begun < 5
    for name in ("1", "2"):
        wait_until(lambda name=name: not runs(int((tmp_path / name).read_text())))


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat_file:
            return stat_file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_may_end_by_itself_is_asked_first(tmp_path):
    text = f"trap 'echo tidied >{tmp_path}/end; exit 0' TERM; while :; do sleep 0.05; done"
    assert "did not finish" in shell(text, timeout_s=0.3).run(HookName.QUIESCE, DB, "db", {})
    assert (tmp_path / "end").read_text() == "tidied\n"


def test_what_it_leaves_behind_on_purpose_is_not_waited_for(tmp_path):
    noise = "(while :; do echo noise; echo noise >&2; sleep 0.01; done) &"
    text = f"{noise} sleep 60 >/dev/null 2>&1 & echo $! >{tmp_path}/$DRIFTD_HOOK; exit 0"
    hooks = CommandHooks({name: ["sh", "-c", text] for name in (HookName.SERVE, HookName.QUORUM)}, timeout_s=20)
    begun = time.monotonic()
    try:
        assert hooks.run(HookName.SERVE, DB, "db", {}) == ""
        assert set(hooks.ask(HookName.QUORUM, DB, "db").split()) <= {b"noise"}
        assert time.monotonic() - begun < 5
        assert all(runs(int(path.read_text())) for path in tmp_path.iterdir())
    finally:
        for path in tmp_path.iterdir():
            os.kill(int(path.read_text()), signal.SIGKILL)


def test_an_answer_without_end_is_none():
    begun = time.monotonic()
    answer = shell("cat /dev/zero", HookName.QUORUM, timeout_s=30).ask(HookName.QUORUM, DB, "db")
    assert answer == Unseen("the quorum hook of db on i-1 said more than 1 MiB")
    assert time.monotonic() - begun < 10


def test_an_answer_may_be_as_long_as_is_allowed():
    text = f"head -c {edge.ANSWER_LIMIT} /dev/zero"
    assert shell(text, HookName.QUORUM).ask(HookName.QUORUM, DB, "db") == bytes(edge.ANSWER_LIMIT)
    over = shell(f"head -c {edge.ANSWER_LIMIT + 1} /dev/zero", HookName.QUORUM).ask(HookName.QUORUM, DB, "db")
    assert isinstance(over, Unseen)


def test_what_it_says_beside_its_answer_is_no_answer():
    text = "head -c 3000000 /dev/zero >&2; echo yes"
    assert shell(text, HookName.QUORUM).ask(HookName.QUORUM, DB, "db") == b"yes\n"


def test_it_does_not_wait_for_anybody_to_type():
    ours, (end, other) = os.dup(0), os.pipe()
    try:
        os.dup2(end, 0)
        why = shell("read -r line || exit 7", timeout_s=2).run(HookName.QUIESCE, DB, "db", {})
    finally:
        os.dup2(ours, 0)
        for file in (ours, end, other):
            os.close(file)
    assert why.endswith("failed with status 7: it said nothing")


@pytest.mark.parametrize(("where", "said"), [("", "said more than 1 MiB"), (" >&2", "did not finish within 3 s")])
def test_ten_gigabytes_take_no_memory_and_no_time(where, said):
    """What answers without end is ended at once; what complains without end is read and thrown away in its time."""
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    text = f"head -c {10 << 30} /dev/zero{where}; sleep 9"
    why = shell(text, timeout_s=3).run(HookName.QUIESCE, DB, "db", {})
    assert why == f"the quiesce hook of db on i-1 {said}"
    assert time.monotonic() - begun < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_each_has_its_own_time():
    hooks = CommandHooks(
        {name: ["sleep", "0.6"] for name in (HookName.SERVE, HookName.PRE_DRAIN)},
        timeout_s=5,
        timeouts_s={HookName.PRE_DRAIN: 0.2},
    )
    assert hooks.run(HookName.SERVE, DB, "db", {}) == ""
    assert "did not finish within 0.2 s" in hooks.run(HookName.PRE_DRAIN, DB, "db", {})
