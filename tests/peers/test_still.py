"""A still tree looked at twice gives the same bytes, frame by frame; what may differ is said here."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import request
from planting import clear, plant
from servers import pid_of

from driftd.core.fingerprint import Fingerprint, Reader
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.probe import bundle, look, wire

Ask = Callable[[], bytes]


def told(stream: bytes) -> list[tuple[bytes, object]]:
    """Tag and payload of every frame. The greeting without the clock; the trailer without the digest over it."""
    decoder = wire.Decoder()
    frames: list[tuple[bytes, object]] = []
    for tag, payload in decoder.feed(stream):
        if tag == wire.HELLO:
            hello = wire.unpack(payload)
            assert hello.pop(b"clock") > 1_700_000_000
            frames.append((tag, hello))
        else:
            frames.append((tag, payload))
    assert decoder.finished
    return [*frames, (wire.TRAILER, decoder.counts)]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[bytes]:
    made = os.fsencode(tmp_path) + b"/tree"
    try:
        plant(made)
        os.mkdir(made + b"/etc/cron.d")
        Path(os.fsdecode(made + b"/etc/cron.d/job")).write_text("* * * * * root true\n")
        Path(os.fsdecode(made + b"/etc/passwd")).write_text("root:x:0:0::/root:/bin/sh\n")
        yield made
    finally:
        clear(made)


@pytest.mark.parametrize("sections", [(b"facts",), ()])
def test_a_directory_gives_the_same_bytes(root: bytes, sections: tuple[bytes, ...]) -> None:
    def ask() -> bytes:
        return b"".join(look.answer(wire.read_request(io.BytesIO(request(root, sections, key=b"k" * 32)))))

    first = told(ask())
    assert len(first) >= 5
    assert told(ask()) == first
    (Path(os.fsdecode(root)) / "etc/passwd").write_text("root:x:0:1::/root:/bin/sh\n")
    assert told(ask()) != first


def test_so_does_the_program_as_it_is_sent_whatever_order_its_python_hashes_in(root: bytes) -> None:
    def ask(seed: str) -> bytes:
        asked = bundle.program() + request(root, (b"facts",), key=b"k" * 32)
        python = ["/usr/bin/python3", *(word for word in bundle.ARGUMENTS if word != "-I")]
        run = subprocess.run(python, input=asked, capture_output=True, check=True, env={"PYTHONHASHSEED": seed})
        return run.stdout

    assert told(ask("1")) == told(ask("2")) == told(ask("3"))


@pytest.mark.servers
@pytest.mark.machine
def test_a_running_instance_gives_the_same_bytes(local_deployment) -> None:
    """Entered without a login, which would leave its own traces."""
    pid = pid_of(local_deployment.launch("web/0"))
    enter = ["nsenter", "-t", str(pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/"]
    asked = bundle.program() + request("/", wire.SECTIONS, key=b"k" * 32)

    def ask() -> bytes:
        return subprocess.run(
            [*enter, "python3", *bundle.ARGUMENTS], input=asked, capture_output=True, check=True
        ).stdout

    def state() -> bytes:
        find = ["find", "/", "-xdev", "-printf", r"%p %i %s %m %T@ %C@\n"]
        return subprocess.run([*enter, *find], capture_output=True, check=True).stdout

    for _ in range(20):  # it has only just started, and writes its logs
        before, first, second = state(), told(ask()), told(ask())
        if state() == before:
            break
    else:
        pytest.fail("the server does not come to rest")
    assert [tag for tag, _ in first].count(wire.SESSIONS) == 1
    assert second == first


def reasons(seen: Fingerprint) -> dict[str, int]:
    """Without the directory in which a log is begun or a lock is held while the tree is read."""
    return {
        reason: count for reason, count in seen.coverage.reasons.items() if "directories that changed" not in reason
    }


@pytest.mark.servers
def test_over_ssh_only_the_login_itself_differs(local_deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    server = local_deployment.launch("web/0")
    streams: list[bytes] = []
    heard = Reader.feed

    def feed(reader: Reader, data: bytes) -> None:
        streams[-1] += data
        heard(reader, data)

    monkeypatch.setattr(Reader, "feed", feed)
    seen, quiet = [], []
    for _ in range(3):
        streams.append(b"")
        seen.append(SshLooker(SshOptions(key_file=str(local_deployment.key))).look(server, deadline_s=60))
    assert all(isinstance(one, Fingerprint) for one in seen), seen
    for before, after in itertools.pairwise(seen):
        moved = {entry.path for entry in set(before.entries) ^ set(after.entries)}
        # What sshd and PAM write down of a login.
        assert moved <= {b"/var/log/auth.log", b"/var/log/wtmp", b"/var/log/lastlog", b"/var/log/syslog"}
        assert {one.kind for one in set(before.facts) ^ set(after.facts)} <= {"process"}
        assert before.looked == after.looked
        assert reasons(before) == reasons(after)
        assert len(after.sessions) == len(before.sessions) + 1
    # The greeting's nonce is another for each question.
    for stream in streams:
        frames = told(stream)
        assert isinstance(frames[0][1], dict)
        frames[0][1].pop(b"nonce")
        quiet.append([frame for frame in frames if frame[0] in (wire.HELLO, wire.LINKS)])
    assert quiet[0] == quiet[1] == quiet[2]
