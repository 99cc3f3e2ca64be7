"""Fixtures that the tests of flows share."""

from __future__ import annotations

import pytest
from sweeping import Fleet

from driftd.core.findings import Action


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path)
    yield made
    made.close()


@pytest.fixture
def observing(tmp_path):
    made = Fleet(tmp_path, Action.ALERT)
    yield made
    made.close()
