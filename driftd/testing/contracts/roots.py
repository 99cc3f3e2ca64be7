"""What a provider promises that can copy an instance's root volume."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftd.core.asides import RootCopying
from driftd.core.errors import NotFound
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Compute, Provider
from driftd.testing.hooks import NOBODY, ContractHooks


class RootsContract(ContractHooks):
    """Part of ``ProviderContract``; skipped for a provider that cannot."""

    @pytest.fixture
    def copying(self, provider: Provider) -> RootCopying:
        """The provider, or skip."""
        if not isinstance(provider, RootCopying):
            pytest.skip(f"provider {provider.name} copies no root volumes")
        return provider

    def test_a_copy_is_made_once_and_outlives_its_instance(
        self, provider: Provider, copying: RootCopying, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """The instance runs on, and so does nothing of it in the copy."""
        one, other = launch("web/0"), launch("web/1")
        before = {each.id for each in copying.root_copies()}
        self.leave_mark(provider, one)
        made = copying.copy_root(one.id, "evidence-1")
        assert copying.copy_root(one.id, "evidence-1") == made
        assert made.volume_id == one.id
        assert compute.describe(one.id).state is InstanceState.RUNNING
        second = copying.copy_root(other.id, "evidence-2")
        compute.terminate(one.id)
        self.wait(provider, "gone", lambda: one.id not in {each.id for each in compute.list({})})
        assert {each.id for each in copying.root_copies()} - before == {made.id, second.id}
        assert copying.copy_root(one.id, "evidence-1") == made
        copying.delete_root_copy(made.id)
        copying.delete_root_copy(made.id)
        assert {each.id for each in copying.root_copies()} - before == {second.id}
        copying.delete_root_copy(second.id)

    def test_of_nobody_there_is_no_copy(self, copying: RootCopying) -> None:
        """Else evidence would be thought to be kept."""
        with pytest.raises(NotFound):
            copying.copy_root(NOBODY, "evidence-3")
