"""For those who write a provider: the contract suite that ours pass, and a provider in memory to build flows on.

    from driftd.testing import ProviderContract

    class TestMine(ProviderContract):
        @pytest.fixture
        def provider(self): ...

``HooksContract`` is the same for another way of running hooks, ``JudgeContract`` and ``AlertsContract`` for other
sources of metrics and alerts, ``NotifierContract`` and ``BoardContract`` for other ways to tell people. The fakes need
nothing but driftd; the contracts need pytest, and are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from driftd.testing.fake import Crash, Distortion, Event, FakeClock, FakeProvider
from driftd.testing.judging import FakeAlerts, FakeJudge
from driftd.testing.notifying import FakeBoard, FakeNotifier

if TYPE_CHECKING:
    from driftd.testing.contract import ProviderContract
    from driftd.testing.contracts.hooks import HooksContract
    from driftd.testing.contracts.judging import AlertsContract, JudgeContract
    from driftd.testing.contracts.notifiers import BoardContract, NotifierContract

__all__ = [
    "AlertsContract",
    "BoardContract",
    "Crash",
    "Distortion",
    "Event",
    "FakeAlerts",
    "FakeBoard",
    "FakeClock",
    "FakeJudge",
    "FakeNotifier",
    "FakeProvider",
    "HooksContract",
    "JudgeContract",
    "NotifierContract",
    "ProviderContract",
]
_CONTRACTS = {
    "ProviderContract": "driftd.testing.contract",
    "HooksContract": "driftd.testing.contracts.hooks",
    "JudgeContract": "driftd.testing.contracts.judging",
    "AlertsContract": "driftd.testing.contracts.judging",
    "BoardContract": "driftd.testing.contracts.notifiers",
    "NotifierContract": "driftd.testing.contracts.notifiers",
}


def __getattr__(name: str) -> object:
    if name not in _CONTRACTS:
        raise AttributeError(name)
    import pytest  # noqa: PLC0415 - a program that uses only the fake does not need pytest

    # Before they are imported, so that their asserts explain themselves.
    pytest.register_assert_rewrite("driftd.testing.contracts", "driftd.testing.hooks")
    return getattr(importlib.import_module(_CONTRACTS[name]), name)
