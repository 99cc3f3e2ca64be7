"""The provider contract: every promise of ``driftd.core.ports`` as a test. Subclass it, give it a ``provider``.

    class TestMine(ProviderContract):
        group, image = "web", "ami-0abc"

        @pytest.fixture
        def provider(self):
            yield make_mine()

A capability that the provider declares None is skipped. The hooks below the fixture say how to do on your servers what
no port can: keep a request in flight, leave a mark on the disk, use a volume. Every test ends what it launched.
"""

from __future__ import annotations

from driftd.testing.contracts.addresses import AddressesContract
from driftd.testing.contracts.disks import DisksContract
from driftd.testing.contracts.doorman import DoormanContract
from driftd.testing.contracts.foreign import ForeignContract
from driftd.testing.contracts.instances import InstancesContract
from driftd.testing.contracts.isolating import IsolatingContract
from driftd.testing.contracts.roots import RootsContract
from driftd.testing.contracts.traffic import TrafficContract
from driftd.testing.contracts.volumes import VolumesContract


class ProviderContract(
    InstancesContract,
    TrafficContract,
    VolumesContract,
    AddressesContract,
    ForeignContract,
    DoormanContract,
    IsolatingContract,
    RootsContract,
    DisksContract,
):
    """Subclass, set ``group`` and ``image``, override ``provider`` and those hooks that your provider needs."""
