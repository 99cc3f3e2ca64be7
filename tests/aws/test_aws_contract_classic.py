"""The aws provider keeps the contract behind classic load balancers."""

from __future__ import annotations

import pytest
from contracted import AwsContract, ScalingContract

pytestmark = [pytest.mark.servers, pytest.mark.machine]


class TestAwsClassic(AwsContract):
    """Who is launched by driftd alone."""

    classic = True


class TestAwsScalingClassic(ScalingContract):
    """The members of an Auto Scaling group that a classic load balancer is attached to by its name."""

    classic = True
