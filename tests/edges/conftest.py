"""Fixtures that the tests of edges share."""

import pytest

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
