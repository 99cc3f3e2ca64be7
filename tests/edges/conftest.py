"""Fixtures that the tests of edges share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, sshd

from driftd.edges.store import open_store


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path}/driftd.db")
    yield made
    made.close()


@pytest.fixture
def other(store):
    made = open_store(f"sqlite:///{store.path}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """An sshd for a file's tests."""
    with tempfile.TemporaryDirectory(prefix="driftd-ssh-") as directory, sshd(Path(directory) / "sshd") as running:
        Path(directory).chmod(0o755)
        yield running
