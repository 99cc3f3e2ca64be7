"""A resident probe over a real sshd: it stays, it is heard, and it is gone when it is to go."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from servers import wait_until
from sshd import ME

from driftd.core.facts import Instance, Reach
from driftd.core.watching import Beat, Glimpse, Greeting
from driftd.edges.ssh import watcher
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.watcher import SshWatcher
from driftd.probe import wire

pytestmark = [pytest.mark.machine, pytest.mark.servers]


class Watch:
    """A watch in a thread."""

    def __init__(self, server, root, user=ME):
        options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(root))
        self.watcher = SshWatcher(options)
        self.instance = Instance(
            "i-1", "web", "img", reach=Reach("127.0.0.1", server.port, user, str(server.client_key))
        )
        self.heard = []
        self.ended = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        self.ended = self.watcher.watch(self.instance, self.heard.append, self.stop.is_set)

    def says(self, kind, true=lambda _: True):
        return wait_until(
            lambda: next((one for one in list(self.heard) if isinstance(one, kind) and true(one)), None),
            kind.__name__,
            60,
        )

    def end(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.ended


@pytest.fixture
def tree_on_disk():
    with tempfile.TemporaryDirectory(prefix="dt-", dir="/var/tmp") as home:
        yield Path(home)


@pytest.fixture
def allowed(server):
    def force(command=""):
        public = Path(f"{server.client_key}.pub").read_text()
        prefix = f'restrict,command="{command}" ' if command else ""
        (server.directory / "authorized_keys").write_text(prefix + public)

    yield force
    force()


def test_it_is_greeted_hears_of_a_change_and_ends_at_once_when_it_is_to_stop(server, tree_on_disk):
    watch = Watch(server, tree_on_disk)
    assert watch.says(Greeting).directories == 1
    assert watch.says(Beat).rss > 0
    (tree_on_disk / "new").write_text("x")
    path = str(tree_on_disk / "new").encode()
    shown = watch.says(Glimpse, lambda one: one.seen and path in {entry.path for entry in one.seen.entries})
    assert shown.full is None
    watch.watcher.stop()
    assert watch.end().reason == ""


def test_nothing_is_left_on_the_instance_when_it_was_stopped(server, tree_on_disk):
    watch = Watch(server, tree_on_disk)
    watch.says(Greeting)
    children = _children(server)
    assert children
    watch.stop.set()
    watch.end()
    wait_until(lambda: not _children(server), "the end of the probe")


def _children(server):
    """All below this test's sshd."""
    below = {server.process.pid}
    above = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            above[int(process.name)] = int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
    for _ in range(5):
        below |= {pid for pid, parent in above.items() if parent in below}
    return below - {server.process.pid}


def test_a_connection_that_breaks_ends_it_with_a_sentence(server, tree_on_disk):
    watch = Watch(server, tree_on_disk)
    watch.says(Greeting)
    for pid in _children(server):
        if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
            os.kill(pid, signal.SIGKILL)
            break
    assert "ended" in watch.end().reason


@pytest.mark.parametrize(
    ("says", "because"),
    [
        ("echo what; sleep 60", "ended"),
        ("head -c 3000000 /dev/zero", "not a watch"),
        ("printf '\\000driftd-wire/2\\nZ\\377\\377\\377\\377'; sleep 60", "not a watch"),
    ],
)
def test_what_is_no_probe_is_left_with_a_sentence(server, tree_on_disk, allowed, monkeypatch, says, because):
    monkeypatch.setattr(watcher, "BEGIN_S", 3.0)
    allowed(f"{says}")
    ended = Watch(server, tree_on_disk).end()
    assert because in ended.reason or "said nothing" in ended.reason
    assert ended.reason.isprintable()


def test_who_sends_without_end_is_cut_off(server, tree_on_disk, allowed, tmp_path):
    encoder = wire.Encoder()
    endless = tmp_path / "endless"
    endless.write_bytes(encoder.start() + encoder.message(b"B", {b"cpu": 0, b"rss": 0, b"hints": 0, b"over": 0}))
    script = tmp_path / "endless.py"
    script.write_text(
        f"import sys\ndata = open({str(endless)!r}, 'rb').read()\nout = sys.stdout.buffer\nout.write(data)\n"
        f"beat = data[{len(wire.MAGIC)}:] * 1000\nwhile True:\n    out.write(beat)\n"
    )
    allowed(f"{sys.executable} {script}")
    assert "messages in" in Watch(server, tree_on_disk).end().reason
