"""What a provider promises that lets people in itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from driftd.core.asides import Doorman
from driftd.core.facts import Instance
from driftd.core.ports import Provider
from driftd.testing.hooks import ContractHooks

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class DoormanContract(ContractHooks):
    """Part of ``ProviderContract``; skipped for a provider that has no ways in of its own."""

    @pytest.fixture
    def doorman(self, provider: Provider) -> Doorman:
        """The provider, or skip."""
        if not isinstance(provider, Doorman):
            pytest.skip(f"provider {provider.name} lets nobody in itself")
        return provider

    def test_nobody_came_to_whom_nobody_was_let_in(self, doorman: Doorman, launch: Callable[..., Instance]) -> None:
        """A launch is no visit."""
        assert list(doorman.let_in(launch(), _EVER)) == []

    def test_who_is_let_in_is_told_while_there_and_afterwards(
        self, provider: Provider, doorman: Doorman, launch: Callable[..., Instance]
    ) -> None:
        """By the name that the provider knows, of this instance alone, and once."""
        instance, other = launch(), launch()
        with self.somebody_let_in(provider, instance):
            self.wait(provider, "who is there", lambda: bool(doorman.let_in(instance, _EVER)))
            (there,) = doorman.let_in(instance, _EVER)
            assert (there.door, there.live, there.ended_at) == ("cloud", True, None)
            assert there.key_id
        self.wait(provider, "the end", lambda: any(not one.live for one in doorman.let_in(instance, _EVER)))
        (gone,) = doorman.let_in(instance, _EVER)
        assert (gone.key_id, gone.started_at, gone.live) == (there.key_id, there.started_at, False)
        assert gone.ended_at is not None
        assert gone.ended_at >= gone.started_at
        assert list(doorman.let_in(other, _EVER)) == []

    def test_who_left_before_is_not_told(
        self, provider: Provider, doorman: Doorman, launch: Callable[..., Instance]
    ) -> None:
        """``since`` is when somebody must still have been there."""
        instance = launch()
        with self.somebody_let_in(provider, instance):
            self.wait(provider, "who is there", lambda: bool(doorman.let_in(instance, _EVER)))
        self.wait(provider, "the end", lambda: any(not one.live for one in doorman.let_in(instance, _EVER)))
        assert list(doorman.let_in(instance, datetime(2999, 1, 1, tzinfo=UTC))) == []
