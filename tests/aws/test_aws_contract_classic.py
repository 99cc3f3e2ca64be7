"""Behind classic load balancers the aws provider keeps what of the contract has to do with them."""

from __future__ import annotations

import pytest
from contracted import Aws, Scaling

from driftd.testing.contracts.foreign import ForeignContract
from driftd.testing.contracts.instances import InstancesContract
from driftd.testing.contracts.traffic import TrafficContract

pytestmark = [pytest.mark.servers, pytest.mark.machine]


class TestAwsClassic(Aws, InstancesContract, TrafficContract):
    """Who is launched by driftd alone."""

    classic = True


class TestAwsScalingClassic(Scaling, InstancesContract, TrafficContract, ForeignContract):
    """The members of an Auto Scaling group that a classic load balancer is attached to by its name."""

    classic = True
