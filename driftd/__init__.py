"""driftd makes immutable infrastructure provable: see drift, judge it, replace the server, prove each step.

These names are what a provider by somebody else may rely on; the list is frozen by a test.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Each of these names when it is asked for: the command line needs none, and would wait for all of them."""
        if name in __all__:
            for module in ("driftd.core.errors", "driftd.core.facts", "driftd.core.ports"):
                found = vars(import_module(module))
                if name in found:
                    return found[name]
        raise AttributeError(f"module 'driftd' has no attribute {name!r}")
