"""What every provider promises of movable addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance
from driftd.core.ports import Addresses, Compute, Provider
from driftd.testing.hooks import NOBODY, ContractHooks


class AddressesContract(ContractHooks):
    """One owner at a time, taken only from whom one expects."""

    def holder(self, addresses: Addresses, address: str) -> str:
        """Who has it."""
        return next(one.attached_to for one in addresses.list() if one.address == address)

    def test_an_address_moves_from_its_expected_owner_only(
        self, addresses: Addresses, launch: Callable[..., Instance]
    ) -> None:
        """Whoever moves it must know whom it is taken from."""
        address = addresses.list()[0].address
        one, two, three = launch("web/0"), launch("web/1"), launch("web/2")
        assert self.holder(addresses, address) == ""
        for _ in range(2):
            addresses.associate(address, one.id)
            assert self.holder(addresses, address) == one.id
        for expected in ("", three.id):
            with pytest.raises(Refused):
                addresses.associate(address, two.id, expected)
        assert self.holder(addresses, address) == one.id
        addresses.associate(address, two.id, one.id)
        assert self.holder(addresses, address) == two.id
        for expected in ("", three.id):
            with pytest.raises(Refused):
                addresses.release(address, expected)
        assert self.holder(addresses, address) == two.id
        for _ in range(2):
            addresses.release(address, two.id)
            assert self.holder(addresses, address) == ""

    def test_an_address_survives_its_instance(
        self, provider: Provider, compute: Compute, addresses: Addresses, launch: Callable[..., Instance]
    ) -> None:
        """And is free then."""
        address, instance = addresses.list()[0].address, launch()
        addresses.associate(address, instance.id)
        compute.terminate(instance.id)
        self.wait(provider, "a free address", lambda: self.holder(addresses, address) == "")

    def test_unknown_addresses_and_owners(self, addresses: Addresses) -> None:
        """Not found, and the address stays free."""
        address = addresses.list()[0].address
        with pytest.raises(NotFound):
            addresses.associate("203.0.113.255", NOBODY)
        with pytest.raises(NotFound):
            addresses.associate(address, NOBODY)
        assert self.holder(addresses, address) == ""

    def test_a_stopped_one_keeps_its_address_until_it_is_moved(
        self, provider: Provider, compute: Compute, addresses: Addresses, launch: Callable[..., Instance]
    ) -> None:
        """And does not take it back when it is started again."""
        address, one, two = addresses.list()[0].address, launch("web/0"), launch("web/1")
        addresses.associate(address, one.id)
        self.halt(provider, compute, one)
        assert self.holder(addresses, address) == one.id
        addresses.associate(address, two.id, one.id)
        self.revive(provider, compute, one)
        assert self.holder(addresses, address) == two.id
        addresses.release(address, two.id)
