"""For those who write a provider: the contract suite that ours pass, and a provider in memory to build flows on.

    from driftd.testing import ProviderContract

    class TestMine(ProviderContract):
        @pytest.fixture
        def provider(self): ...

``FakeProvider`` needs nothing but driftd; ``ProviderContract`` needs pytest, and is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftd.testing.fake import Crash, Event, FakeClock, FakeProvider

if TYPE_CHECKING:
    from driftd.testing.contract import ProviderContract

__all__ = ["Crash", "Event", "FakeClock", "FakeProvider", "ProviderContract"]


def __getattr__(name: str) -> object:
    if name != "ProviderContract":
        raise AttributeError(name)
    import pytest  # noqa: PLC0415 - a program that uses only the fake does not need pytest

    pytest.register_assert_rewrite("driftd.testing.contract", "driftd.testing.hooks")
    from driftd.testing import contract  # noqa: PLC0415 - after the line above, so that asserts explain themselves

    return contract.ProviderContract
