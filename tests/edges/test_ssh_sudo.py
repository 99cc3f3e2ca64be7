"""The way in for a user who is not root: real login shells, real sudo, and the narrowest line that will do."""

import contextlib
import dataclasses
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from sshd import sshd
from test_ssh_looker import PATHS, Way, paths, small_tree

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.edges.ssh.command import boot, command, quote, sudoers_line
from driftd.edges.ssh.options import SshOptions

pytestmark = [pytest.mark.machine, pytest.mark.servers]

USER = f"driftd-t{os.getpid() % 100_000}"
PINNED = SshOptions(pinned=True)


@pytest.fixture(scope="module")
def user():
    # "*" is a password that nobody has; useradd's own "!" would be a locked account, which sshd refuses.
    subprocess.run(["useradd", "--system", "--no-create-home", "--password", "*", USER], check=True)
    try:
        yield USER
    finally:
        subprocess.run(["userdel", USER], check=True)


@pytest.fixture(scope="module")
def server(user):
    with tempfile.TemporaryDirectory(prefix="driftd-ssh-") as directory:
        Path(directory).chmod(0o755)
        with sshd(Path(directory) / "sshd") as running:
            yield running


@pytest.fixture
def tree(tmp_path):
    root = small_tree(tmp_path)
    with contextlib.ExitStack() as stack:
        for directory in (tmp_path, *tmp_path.parents):
            if directory.is_relative_to(tempfile.gettempdir()) and directory != Path(tempfile.gettempdir()):
                mode = directory.stat().st_mode & 0o7777
                directory.chmod(mode | 0o055)
                stack.callback(directory.chmod, mode)
        yield root


@pytest.fixture
def way(server, user, tree):
    subprocess.run(["usermod", "--shell", "/bin/sh", user], check=True, capture_output=True)
    way = Way(server, user)
    way.root = tree
    way.force("")
    return way


@contextlib.contextmanager
def sudoers(text):
    path = Path("/etc/sudoers.d") / USER
    path.write_text(text + "\n")
    path.chmod(0o440)
    try:
        checked = subprocess.run(["visudo", "-cf", path], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "parsed OK" in checked.stdout
        yield
    finally:
        path.unlink()


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/usr/bin/fish", "/bin/tcsh"])
def test_the_command_means_the_same_in_every_login_shell(way, user, shell):
    assert Path(shell).exists(), f"apt-get install {Path(shell).name}"
    subprocess.run(["usermod", "--shell", shell, user], check=True, capture_output=True)
    for options in (SshOptions(), PINNED):
        with sudoers(sudoers_line(user, options)):
            assert paths(way.look(pinned=options.pinned)) == PATHS


def test_a_terminal_of_sudos_own_spoils_nothing(way, user):
    with sudoers(f"Defaults:{user} use_pty\n" + sudoers_line(user, SshOptions())):
        assert paths(way.look()) == PATHS


def test_the_documents_show_the_line_that_is_tested_here():
    text = (Path(__file__).parents[2] / "docs" / "ssh.md").read_text()
    assert sudoers_line("driftd", SshOptions()) in text
    assert re.sub("0x[0-9a-f]{64}", "0xDIGEST", sudoers_line("driftd", PINNED)) in text


@pytest.mark.parametrize("user_is_root", [True, False])
def test_authorized_keys_may_force_the_pinned_command(way, user, user_is_root):
    start = f"/usr/bin/python3 -I -S -B -c '{boot(PINNED)}'"
    with sudoers(sudoers_line(user, PINNED)):
        if user_is_root:
            way.instance = dataclasses.replace(way.instance, reach=dataclasses.replace(way.instance.reach, user="root"))
        way.force(start if user_is_root else f"sudo -n {start}")
        assert paths(way.look()) == PATHS


def test_authorized_keys_may_say_from_where(way):
    public = Path(f"{way.server.client_key}.pub").read_text()
    keys = way.server.directory / "authorized_keys"
    keys.write_text(f'restrict,from="127.0.0.1",expiry-time="20990101" {public}')
    assert paths(way.look(sudo=False)) == PATHS
    for option in ('from="192.0.2.10"', 'expiry-time="20200101"'):
        keys.write_text(f"restrict,{option} {public}")
        assert "refused the key" in way.look(sudo=False).reason


def test_root_is_asked_without_sudo(way):
    assert "sudo" not in command("root", SshOptions())
    way.instance = dataclasses.replace(way.instance, reach=dataclasses.replace(way.instance.reach, user="root"))
    assert paths(way.look()) == PATHS


@pytest.mark.parametrize("options", [SshOptions(), PINNED], ids=["", "pinned"])
def test_without_the_line_sudo_refuses_and_the_hint_is_the_line_that_helps(way, user, options):
    seen = way.look(pinned=options.pinned)
    assert isinstance(seen, Unseen)
    assert f"does not let {user} start the probe with sudo: sudo: a password is required" in seen.reason
    with sudoers(re.search(r"driftd there: (.*)", seen.hint).group(1)):
        assert paths(way.look(pinned=options.pinned)) == PATHS


def test_the_line_allows_these_arguments_and_no_others(user):
    def may(arguments):
        return subprocess.run(
            ["runuser", "-u", user, "--", "sudo", "-n", *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        ).stderr

    refused = b"sudo: a password is required"
    for options in (SshOptions(), PINNED):
        start = ["/usr/bin/python3", "-I", "-S", "-B", "-c"]
        with sudoers(sudoers_line(user, options)):
            assert refused not in may([*start, boot(options)])
            for other in (
                [*start, boot(options) + "#"],
                [*start, "import os"],
                [*start, boot(options), "more"],
                [*start[:-1], boot(options)],
                ["/usr/bin/python3"],
                ["/bin/sh"],
            ):
                assert refused in may(other)


def test_a_pinned_line_runs_no_other_program(way, user, monkeypatch):
    from driftd.edges.ssh import asking

    with sudoers(sudoers_line(user, PINNED)):
        other = __import__("zlib").compress(b"import os; os.write(1, b'owned')")
        monkeypatch.setattr(asking.bundle, "program", lambda: b"%d\n" % len(other) + other)
        seen = way.look(pinned=True)
        assert isinstance(seen, Unseen)
        assert "it is not the one that was pinned" in seen.reason


def test_without_sudo_the_probe_looks_with_the_rights_it_has_and_says_what_it_could_not_read(way, user):
    seen = way.look(sudo=False)
    assert paths(seen) == PATHS
    assert seen.unreadable == (b"/etc/secret",)
    with sudoers(sudoers_line(user, SshOptions())):
        assert way.look().unreadable == ()


def test_a_host_without_sudo_or_without_python_says_so(way, user, tmp_path):
    seen = way.look(python="/nowhere/python3")
    assert isinstance(seen, Unseen)
    assert "has no Python to run the probe with (looked for /nowhere/python3)" in seen.reason
    way.force("echo /bin/sh: 1: exec: sudo: not found >&2; exit 127")
    seen = way.look()
    assert "does not let" in seen.reason
    assert "sudo: not found" in seen.reason


@pytest.mark.parametrize("path", ["python3", "/usr/bin/python3; id", "/opt/my python", "/a'b", "/$HOME/python"])
def test_a_python_that_is_no_plain_path_is_refused(path):
    with pytest.raises(BadInput, match="is not the path of a Python"):
        command("root", SshOptions(python=path))


def test_only_what_every_shell_reads_alike_is_quoted():
    for text in ("it's", "a\\b", "hey!", "a\nb"):
        with pytest.raises(ValueError, match="something else"):
            quote(text)
