"""What a provider promises that knows of other people's operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftd.core.asides import Foreign
from driftd.core.facts import Instance
from driftd.core.ports import Provider
from driftd.testing.hooks import ContractHooks


class ForeignContract(ContractHooks):
    """Part of ``ProviderContract``; skipped for a provider that knows of nothing of the kind."""

    @pytest.fixture
    def knowing(self, provider: Provider) -> Foreign:
        """The provider, or skip."""
        if not isinstance(provider, Foreign):
            pytest.skip(f"provider {provider.name} knows nothing of other people's operations")
        return provider

    def test_what_we_do_ourselves_is_no_foreign_operation(
        self, knowing: Foreign, launch: Callable[..., Instance]
    ) -> None:
        """Else driftd would wait for itself."""
        assert knowing.foreign(self.group) == ""
        launch()
        assert knowing.foreign(self.group) == ""

    def test_what_others_do_is_one_sentence_while_it_lasts(self, provider: Provider, knowing: Foreign) -> None:
        """And it is the group's own."""
        with self.operation_of_others(provider):
            said = knowing.foreign(self.group)
            assert said
            assert said.isprintable()
            assert knowing.foreign("a-group-that-nobody-has") == ""
        self.wait(provider, "quiet", lambda: knowing.foreign(self.group) == "")
