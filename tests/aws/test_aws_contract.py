"""The aws provider keeps the contract behind target groups."""

from __future__ import annotations

import pytest
from contracted import AwsContract, ScalingContract

pytestmark = [pytest.mark.servers, pytest.mark.machine]


class TestAws(AwsContract):
    """Who is launched by driftd alone."""


class TestAwsScaling(ScalingContract):
    """The members of an Auto Scaling group."""
