"""The local provider as an ordinary user: image, contract and end, in a user namespace."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from driftd.edges.providers.local import image

pytestmark = [pytest.mark.machine, pytest.mark.rootless, pytest.mark.servers]
REPO = Path(__file__).parents[2]
USER = "driftd-test"


@pytest.fixture(scope="module")
def ordinary():
    """Runs a command as an ordinary user: another one when we are root, else ourselves."""
    home = Path(tempfile.mkdtemp(prefix="du-"))
    if os.geteuid() != 0:
        yield lambda *words, **more: run([sys.executable, *words], home, **more), home
    else:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", USER], check=True)
        assert f"{USER}:" in Path("/etc/subuid").read_text(), "useradd gives subordinate ids"
        account = pwd.getpwnam(USER)
        os.chown(home, account.pw_uid, account.pw_gid)
        yield lambda *words, **more: run([*as_user(home, account), *words], home, **more), home
        subprocess.run(["userdel", USER], check=True)
    # Subordinate ids own files in there.
    shutil.rmtree(home) if os.geteuid() == 0 else subprocess.run(
        ["unshare", "-r", "--map-auto", "rm", "-r", home], check=True
    )


def as_user(home, account):
    """Python and the repository may lie where only root may go: show them elsewhere, to this process alone."""
    for name in ("py", "repo"):
        (home / name).mkdir(exist_ok=True)
    script = (
        f"mount --bind {REPO} {home}/repo; "
        + (f"mount --bind {sys.base_prefix} {home}/py; " if sys.base_prefix != "/usr" else "")
        + f'cd {home}; exec setpriv --reuid {account.pw_uid} --regid {account.pw_gid} --init-groups "$@"'
    )
    version = f"python3.{sys.version_info[1]}"
    python = f"{home}/py/bin/{version}" if sys.base_prefix != "/usr" else f"/usr/bin/{version}"
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "as-user", python]


def run(words, home, timeout=570):
    repo = home / "repo" if os.geteuid() == 0 else REPO
    site = f".venv/lib/python3.{sys.version_info[1]}/site-packages"
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": f"{repo}:{repo / site}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(home),
    }
    return subprocess.run(
        [str(w) for w in words], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.soak  # a minute and a half; a demo as an ordinary user builds it, too
@pytest.mark.timeout(400)
def test_an_ordinary_user_builds_the_same_image_bit_for_bit(ordinary, image_cache, golden_image):
    go, home = ordinary
    done = go("-c", "from driftd.edges.providers.local import image; print(image.ensure_base())", timeout=350)
    assert done.returncode == 0, done.stderr
    theirs, ours = Path(done.stdout.strip()), image.ensure_base(image_cache)
    assert theirs.is_relative_to(home / "cache")
    assert theirs.name == ours.name
    assert listing(theirs) == listing(ours)
    assert digest(theirs) == digest(ours)


def listing(path):
    command = ["tar", "--numeric-owner", "--full-time", "-tvf", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def digest(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@pytest.mark.timeout(600)  # more than a minute where nothing else runs
def test_the_contract_and_volumes_in_a_user_namespace(ordinary, image_cache):
    go, home = ordinary
    base = image.ensure_base(image_cache)
    target = home / "images" / base.name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy(base, target)
        if os.geteuid() == 0:
            for path in (target, target.parent):
                shutil.chown(path, USER)
    done = go("-c", RUN_CONTRACT.format(repo=home / "repo" if os.geteuid() == 0 else REPO, cache=home / "images"))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "55 passed" in done.stdout


RUN_CONTRACT = """
import os, sys
from driftd.edges.providers.local import userns
assert userns.needed() and userns.missing() == "", userns.missing()
os.environ["DRIFTD_TEST_IMAGES"] = "{cache}"
os.chdir("{repo}")
tests = ["tests/edges/test_local_contract.py", "tests/edges/test_local_volumes.py"]
sys.exit(userns.reexec_in_user_namespace([sys.executable, "-m", "pytest", "-q", "-x", *tests]))
"""
