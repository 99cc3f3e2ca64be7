"""The instance's own programs, however they behave; and the container engines that are asked by theirs."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from gathering import gather, put

from driftd.probe import containers, tools


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs before all others."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setitem(tools.ENVIRONMENT, "PATH", f"{place}:{tools.ENVIRONMENT['PATH']}")
    return place


def program(place: Path, name: str, script: str) -> None:
    (place / name).write_text("#!/bin/sh\n" + script)
    (place / name).chmod(0o755)


def test_what_a_program_writes_is_given_back() -> None:
    assert tools.run(["sh", "-c", "printf 'a\\nb'; echo no >&2; pwd"]) == (b"a\nb/\n", "")


def test_a_program_gets_nothing_of_our_environment_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    answer = tools.run(["sh", "-c", "env; cat"])
    assert b"hunter2" not in answer.output
    assert b"LC_ALL=C\n" in answer.output


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo x; exit 3", "sh ended with status 3"),
        ("echo x; kill -9 $$", "sh ended with status -9"),
        ("echo x; sleep 60", "sh took longer than 0.3 s"),
        ("echo x; sleep 60 & exit 0", "sh took longer than 0.3 s"),
        ("echo x; exec >&-; sleep 60", "sh did not end"),
        ("echo x; yes", "sh wrote more than 1000 bytes"),
    ],
)
def test_a_program_that_misbehaves_is_ended_and_said(script: str, why: str) -> None:
    began = time.monotonic()
    answer = tools.run(["sh", "-c", script], seconds=0.3, limit=1000)
    assert answer.why == why
    assert answer.output.startswith(b"x\n")
    assert len(answer.output) <= 1000
    assert time.monotonic() - began < 5


def test_whatever_a_hung_program_started_is_ended_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    tools.run(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"], seconds=0.3)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
    raise AssertionError("it still runs")


def test_a_program_that_is_not_there_is_said() -> None:
    assert (
        tools.run(["driftd-no-such-program"]).why == "driftd-no-such-program cannot be run (No such file or directory)"
    )
    assert not tools.there("driftd-no-such-program")
    assert tools.there("sh")


# --- containers ------------------------------------------------------------------------------

ONE, TWO = "1" * 64, "2" * 64

DOCKER = f"""\
case "$1" in
ps) printf '%s\\n' {ONE} {TWO} ;;
inspect) [ "$4 $5" = "{ONE} {TWO}" ] && printf '/web|nginx:1.25|sha256:aa\\n/db|postgres|sha256:bb\\n' ;;
esac
"""

PODMAN = "printf 'web|docker.io/library/nginx:latest|sha256:aa\\n'"

CRICTL = """\
cat <<END
CONTAINER           IMAGE               CREATED             STATE               NAME                ATTEMPT  POD ID
1111                sha256:aa           2 hours ago         Running             coredns             3        2222
short
END
"""


def docker(tree: Path) -> None:
    engine(tree, "run/docker.sock")
    put(tree, {"proc/77/comm": b"dockerd\n", "proc/8/comm": b"sh\n"})


def engine(tree: Path, name: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name of a socket is short: it is made by its last part alone.
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(path.name)
    finally:
        os.chdir(before)


def test_containers_are_told_with_the_digests_of_their_images(tree: Path, programs: Path) -> None:
    docker(tree)
    engine(tree, "run/crio/crio.sock")
    put(tree, {"run/libpod/alive": b""})
    for name, script in (("docker", DOCKER), ("podman", PODMAN), ("crictl", CRICTL)):
        program(programs, name, script)
    found = gather(containers, tree)
    assert found.kept == []
    assert [(name, fields["runtime"], fields["digest"]) for _, name, fields in found.facts] == [
        (b"coredns", b"crictl", b"sha256:aa"),
        (b"db", b"docker", b"sha256:bb"),
        (b"web", b"podman", b"sha256:aa"),
        (b"web", b"docker", b"sha256:aa"),
    ]
    assert found.of(b"container", b"db")[0]["image"] == b"postgres"


def test_no_engine_is_asked_that_does_not_run(tree: Path, programs: Path) -> None:
    engine(tree, "run/docker.sock")  # systemd's, which would start it
    put(tree, {"proc/1/comm": b"systemd\n", "proc/self/comm": b"dockerd\n"})
    for name in ("docker", "podman", "crictl"):
        program(programs, name, f"touch {programs}/asked")
    found = gather(containers, tree)
    assert (found.facts, found.looked, found.kept) == ([], [b"container"], [])
    assert not (programs / "asked").exists()


def test_an_engine_whose_program_is_missing_or_fails_is_said(tree: Path, programs: Path, monkeypatch) -> None:
    docker(tree)
    program(programs, "docker", "exit 1")
    assert gather(containers, tree).kept == [(b"container", b"not available", b"docker ended with status 1")]
    monkeypatch.setitem(tools.ENVIRONMENT, "PATH", "/nowhere")
    (kept,) = gather(containers, tree).kept
    assert kept[1] == b"not available"
    assert b"docker" in kept[2]


def test_engine_output_that_makes_no_sense_is_no_container(tree: Path, programs: Path) -> None:
    docker(tree)
    engine(tree, "run/containerd/containerd.sock")
    program(programs, "docker", f"[ $1 = ps ] && echo {ONE} --help || printf 'a|b\\n\\377|x\\n|||||\\n'")
    program(programs, "crictl", "echo nonsense")
    assert gather(containers, tree).facts == []
