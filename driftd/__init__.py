"""driftd makes immutable infrastructure provable: see drift, judge it, replace the server, prove each step.

These names are what a provider by somebody else may rely on; the list is frozen by a test.
"""

from driftd.core.errors import BadInput, DriftdError, NotFound, ProviderError, Refused, Unavailable
from driftd.core.facts import Instance, InstanceState, Reach
from driftd.core.ports import (
    Address,
    Addresses,
    Compute,
    Inventory,
    LaunchRequest,
    Provider,
    ProviderFactory,
    Target,
    TargetState,
    Traffic,
    Volume,
    Volumes,
)

__version__ = "0.1.0"

__all__ = [
    "Address",
    "Addresses",
    "BadInput",
    "Compute",
    "DriftdError",
    "Instance",
    "InstanceState",
    "Inventory",
    "LaunchRequest",
    "NotFound",
    "Provider",
    "ProviderError",
    "ProviderFactory",
    "Reach",
    "Refused",
    "Target",
    "TargetState",
    "Traffic",
    "Unavailable",
    "Volume",
    "Volumes",
    "__version__",
]
