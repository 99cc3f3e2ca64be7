"""The aws provider keeps the contract behind target groups."""

from __future__ import annotations

import pytest
from contracted import Aws, Scaling

from driftd.testing import ProviderContract

pytestmark = [pytest.mark.servers, pytest.mark.machine]


class TestAws(Aws, ProviderContract):
    """Who is launched by driftd alone."""


class TestAwsScaling(Scaling, ProviderContract):
    """The members of an Auto Scaling group."""
