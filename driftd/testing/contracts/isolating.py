"""What a provider promises that can cut an instance's network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftd.core.asides import Isolating
from driftd.core.errors import NotFound
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Compute, Provider
from driftd.testing.hooks import NOBODY, ContractHooks


class IsolatingContract(ContractHooks):
    """Part of ``ProviderContract``; skipped for a provider that cannot."""

    @pytest.fixture
    def isolating(self, provider: Provider) -> Isolating:
        """The provider, or skip."""
        if not isinstance(provider, Isolating):
            pytest.skip(f"provider {provider.name} cannot cut a network")
        return provider

    def test_cut_off_it_is_reached_by_nobody_and_runs_on(
        self, provider: Provider, isolating: Isolating, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """A second time is no error."""
        one, other = launch("web/0"), launch("web/1")
        assert not one.isolated
        self.wait(provider, "an answer", lambda: self.answers(provider, one))
        isolating.isolate(one.id)
        isolating.isolate(one.id)
        seen = compute.describe(one.id)
        assert (seen.isolated, seen.state) == (True, InstanceState.RUNNING)
        assert not self.answers(provider, one)
        assert not compute.describe(other.id).isolated
        self.wait(provider, "an answer of the other", lambda: self.answers(provider, other))

    def test_it_stays_cut_off_when_it_was_stopped_and_started(
        self, provider: Provider, isolating: Isolating, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Whoever starts it again by accident lets nothing out; it can be cut off while it is stopped, too."""
        for early in (True, False):
            one = launch(f"web/{int(early)}")
            if early:
                isolating.isolate(one.id)
            self.halt(provider, compute, one)
            isolating.isolate(one.id)
            assert compute.describe(one.id).isolated
            self.revive(provider, compute, one)
            assert compute.describe(one.id).isolated
            assert not self.answers(provider, one)
            compute.terminate(one.id)

    def test_nobody_cannot_be_cut_off(self, isolating: Isolating) -> None:
        """Else a typing error would look like a success."""
        with pytest.raises(NotFound):
            isolating.isolate(NOBODY)
