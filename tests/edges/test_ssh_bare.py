"""A host without Python, over a real login: busybox and dropbear, looked at, audited, and on its bad days."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import test_ssh_sudo as ordinary
from busybox import bare
from servers import wait_until
from test_ssh_sudo import sudoers

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges.local import LocalLooker
from driftd.edges.ssh import command
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.probe import collector

pytestmark = [pytest.mark.machine, pytest.mark.servers]


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="driftd-bare-", dir="/var/tmp") as directory, bare(Path(directory)) as one:
        yield one


def look(host, deadline_s=30.0, **options):
    return SshLooker(SshOptions(agent=False, **options)).look(host.instance, deadline_s=deadline_s)


def test_its_whole_tree_is_what_was_put_there(host):
    from driftd.core.facts import Instance, Reach

    seen = look(host)
    assert isinstance(seen, Fingerprint), seen
    baked = LocalLooker().look(Instance("i", "g", "m", reach=Reach(root=str(host.root))), deadline_s=30)
    assert isinstance(baked, Fingerprint), baked
    # What is mounted there shows itself, and not the directory beneath.
    points = {b"/proc", b"/run"}
    assert set(seen.covered) == set(seen.mounted) == points

    def rest(one):
        return [entry for entry in one.entries if entry.path not in points]

    assert rest(seen) == rest(baked)
    kinds = ("account", "group", "package")
    assert [fact for fact in seen.facts if fact.kind in kinds] == [fact for fact in baked.facts if fact.kind in kinds]
    assert seen.live
    assert seen.booted_at is not None
    assert not any(reason.startswith("seen without") for reason in seen.coverage.reasons)


def test_looking_moves_nothing_but_the_times_of_what_ran(host):
    def times():
        found = {}
        for directory, _, files in os.walk(os.fsencode(host.root)):
            for path in [directory, *(os.path.join(directory, name) for name in files)]:
                stat = os.lstat(path)
                found[path] = (stat.st_atime_ns, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        return found

    os.utime(host.root / "etc/hostname", (1, 1))
    os.utime(host.root / "etc", (1, 1))
    times()
    before = times()
    assert isinstance(look(host), Fingerprint)
    after = times()
    moved = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    # The login's own: what sshd and a shell read.
    of_login = (
        rb"/(bin|lib|lib64|usr|dev|root)(/|$)|/etc/(passwd|shadow|group|shells|nsswitch.conf)$|/etc/dropbear/key$"
    )
    assert not {path for path in moved if not re.match(of_login, path[len(os.fsencode(host.root)) :] or b"/bin")}


def test_what_is_mounted_elsewhere_on_it_is_part_of_its_tree(host, tmp_path):
    (host.root / "srv").mkdir()
    (host.root / "home/ops/file").write_text("x")
    (host.root / "etc/issue").write_text("beneath")
    mounts = "mount --bind /home /srv; mount --bind /etc/hostname /etc/issue; mkdir /run/in; mount --bind /home /run/in"
    (pid,) = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
    subprocess.run(["nsenter", "-t", pid, "-m", "--", "/bin/sh", "-c", mounts], check=True)
    seen = look(host)
    assert isinstance(seen, Fingerprint), seen
    found = {entry.path: entry for entry in seen.entries}
    assert {b"/srv/ops/file", b"/run/in/ops/file"} <= found.keys()
    assert found[b"/etc/issue"].sha256 == found[b"/etc/hostname"].sha256
    assert {entry.same for entry in seen.entries} == {b""}
    assert b"/srv" in seen.covered
    assert seen.coverage.reasons["hidden: a file beneath a mounted file"] == 1


CONFIG = """\
trust: {{unsigned: look}}
store: sqlite:///driftd.db
ssh: {{key: {key}, known_hosts: known, look_timeout: 30s}}
groups:
  bare: {{provider: static, image: bare, policy: [sessions], hosts: ["root@127.0.0.1:{port}"]}}
"""


def test_an_audit_against_its_baked_tree_is_clean_and_a_changed_byte_is_found(host, tmp_path):
    reach = host.instance.reach
    (tmp_path / "driftd.yaml").write_text(CONFIG.format(key=reach.key_file, port=reach.port))
    (tmp_path / "known").write_text(f"[127.0.0.1]:{reach.port} {reach.host_keys[0]}\n")
    (tmp_path / "manifests").mkdir()
    driftd = Path(__file__).parents[2] / ".venv/bin/driftd"

    def run(*words):
        done = subprocess.run(
            [driftd, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    assert run("bake", "--root", host.root, "--image", "bare", "-o", "manifests/bare.manifest")[0] == 0
    status, said = run("audit")
    assert (status, "CLEAN" in said) == (0, True), said
    assert "this host has no Python" in said
    host_name = host.root / "etc/hostname"
    before = host_name.stat()
    host_name.write_text("Bare\n")
    os.utime(host_name, ns=(before.st_atime_ns, before.st_mtime_ns))
    (host.root / "etc/passwd").write_text((host.root / "etc/passwd").read_text() + "evil:x:0:0::/:/bin/sh\n")
    status, said = run("audit")
    assert status == 1, said
    for words in ("/etc/hostname modified", "account evil added", "/etc/passwd modified"):
        assert words in said
    assert "hashhashhash" not in said


def working(host):
    """What the login started, and what hashes the large file of these tests among it."""
    working, hashing = [], []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, root = os.readlink(process / "exe"), os.stat(process / "root")
            if root.st_ino == host.root.stat().st_ino and program.endswith("busybox"):
                working.append(int(process.name))
                if any(os.readlink(fd).endswith("/srv/large") for fd in (process / "fd").iterdir()):
                    hashing.append(int(process.name))
    return working, hashing


@pytest.fixture
def busy(host):
    """A host that takes half a minute to look at."""
    (host.root / "srv").mkdir()
    with (host.root / "srv/large").open("wb") as out:
        out.truncate(20 * 1024**3)
    return host


def test_a_collector_that_is_killed_half_way_is_unseen(busy):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(look(busy, 60.0)))
    thread.start()
    wait_until(lambda: working(busy)[1], "sha256sum")
    for pid in working(busy)[0]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    thread.join(30)
    (unseen,) = seen
    assert isinstance(unseen, Unseen)
    assert re.search("the answer was cut off|broke after", unseen.reason)


def test_a_deadline_ends_it_there_too(busy):
    unseen = look(busy, 3.0)
    assert isinstance(unseen, Unseen)
    assert re.search("did not end within 3 s|the answer was cut off", unseen.reason)
    wait_until(lambda: not working(busy)[0], "its end")
    # The server itself is none of what was ended.
    assert isinstance(look(busy, 3.0), Unseen)
    assert busy.process.poll() is None


# --- not root, and a host with sshd and without Python ---------------------------------------------------------------


server, tree, user, way = ordinary.server, ordinary.tree, ordinary.user, ordinary.way  # its fixtures


@pytest.fixture
def pythonless(way, monkeypatch):
    monkeypatch.setattr(command, "PYTHONS", ("/nowhere/python3",))
    return way


@pytest.mark.parametrize("login_shell", ["/bin/sh", "/bin/bash", "/usr/bin/fish", "/bin/tcsh"])
def test_it_is_started_from_every_login_shell_with_the_rights_of_the_account(pythonless, user, login_shell):
    subprocess.run(["usermod", "--shell", login_shell, user], check=True, capture_output=True)
    seen = pythonless.look(40.0, sudo=False)
    assert isinstance(seen, Fingerprint), seen
    assert [entry.path for entry in seen.entries] == [b"/", b"/etc", b"/etc/secret"]
    assert seen.unreadable == (b"/etc/secret",)


@pytest.mark.parametrize("options", [SshOptions(), SshOptions(pinned=True)], ids=["plain", "pinned"])
def test_one_line_of_sudoers_is_enough_and_is_named_when_it_is_missing(pythonless, user, options):
    line = command.sudoers_line(user, options, python=False)
    unseen = pythonless.look(40.0, pinned=options.pinned)
    assert isinstance(unseen, Unseen)
    assert "does not let" in unseen.reason
    assert unseen.hint.endswith(line)
    with sudoers(line):
        seen = pythonless.look(40.0, pinned=options.pinned)
    assert isinstance(seen, Fingerprint), seen
    assert seen.unreadable == ()
    assert "this host has no Python" in {kept.why for kept in seen.kept}


def test_a_pinned_line_runs_no_other_text(pythonless, user, monkeypatch):
    options = SshOptions(pinned=True)
    with sudoers(command.sudoers_line(user, options, python=False)):
        monkeypatch.setattr(collector, "program", lambda: b"\n%s\n10\necho owned." % collector.MARK.encode())
        seen = pythonless.look(40.0, pinned=True)
    assert isinstance(seen, Unseen)
    assert "it is not the one that was pinned" in seen.reason


def test_the_line_in_the_documents_is_the_one_that_is_asked_for():
    documented = (Path(__file__).parents[2] / "docs/ssh.md").read_text()
    assert command.sudoers_line("driftd", SshOptions(), python=False) + "\n" in documented
