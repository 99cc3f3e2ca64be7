from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Look, read, request
from glancing import Probe

from driftd.core.fingerprint import Fingerprint
from driftd.probe import bundle, look, wire


@pytest.fixture
def look_at() -> Look:
    """A look in this process."""

    def look_now(root: Path | bytes, **more: object) -> Fingerprint:
        asked = wire.read_request(io.BytesIO(request(root, **more)))
        return read(b"".join(look.answer(asked)), more.get("sections", (b"facts",)))  # type: ignore[arg-type]  # passed on

    return look_now


@pytest.fixture
def look_streamed() -> Look:
    """A look by the program as it is sent, in a Python of its own."""

    def look_now(root: Path | bytes, python: str = sys.executable, **more: object) -> Fingerprint:
        run = subprocess.run(
            [python, *bundle.ARGUMENTS], input=bundle.program() + request(root, **more), capture_output=True, check=True
        )
        assert run.stderr == b""
        return read(run.stdout, more.get("sections", (b"facts",)))  # type: ignore[arg-type]  # passed on

    return look_now


@pytest.fixture
def tree() -> Iterator[Path]:
    """An empty directory; whatever is made in it, however deep, is gone afterwards.

    Not below /tmp, which may be a file system in memory: what lies there is none to look at.
    """
    home = Path(tempfile.mkdtemp(prefix="dt-", dir="/var/tmp"))
    home.chmod(0o755)
    root = home / "root"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", "--", str(home)], check=True)


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """One program for all: it is asked of one tree after the other."""
    started = Probe()
    yield started
    assert started.end() == 0


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk: what a probe sees of a file in memory is not all that it sees of others."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir="/var/tmp", ignore_cleanup_errors=True) as place:
        yield Path(place)
