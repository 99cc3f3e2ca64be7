"""What every provider promises of instances."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Compute, Provider
from driftd.core.world import TAG_TAINT
from driftd.core.zones import named
from driftd.testing.hooks import NOBODY, ContractHooks

TOKEN_TAG = "driftd:token"  # noqa: S105 - the name of a tag


class InstancesContract(ContractHooks):
    """Launched, listed, tagged, stopped, started, ended."""

    def test_has_a_name_and_an_inventory(self, provider: Provider) -> None:
        """A group that nobody is in is empty, not an error."""
        assert provider.name
        assert list(provider.inventory.find("a-group-that-nobody-has")) == []
        provider.close()
        provider.close()

    def test_launch_shows_what_was_asked(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Group, slot, image, tags and token are on it."""
        instance = launch("web/7", "token-of-this-test" + uuid4().hex, role="web")
        assert (instance.group, instance.slot, instance.image) == (self.group, "web/7", self.image)
        assert instance.tags["role"] == "web"
        assert instance.tags[TOKEN_TAG].startswith("token-of-this-test")
        assert instance.launched_at is not None
        assert instance.launched_at.tzinfo is not None
        assert instance.address
        assert instance.id in [one.id for one in provider.inventory.find(self.group)]

    def test_a_newcomer_is_in_its_slots_zone(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Whoever is launched for a slot is where the slot is; a provider that tells no zones tells none of anybody.

        A zone has a short name on one line.
        """
        old, newcomer, other = (launch(slot, settle=False) for slot in ("web/0", "web/0", "web/1"))
        assert newcomer.zone == old.zone
        assert bool(other.zone) is bool(old.zone)
        listed = {one.id: one.zone for one in (*compute.list({}), *provider.inventory.find(self.group))}
        for one in (old, newcomer, other):
            assert named(one.zone) == one.zone
            assert listed[one.id] == one.zone

    def test_launch_is_idempotent_by_token(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """However often it is sent, one instance."""
        token = uuid4().hex
        first, second = launch(token=token, settle=False), launch(token=token, settle=False)
        assert first.id == second.id
        self.wait_listed(compute, token, 1)

    def wait_listed(self, compute: Compute, token: str, count: int) -> None:
        """Exactly ``count`` instances carry the token."""
        assert len([one for one in compute.list({TOKEN_TAG: token}) if not one.state.ending]) == count

    def test_token_of_another_request_is_refused(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """A token stands for its request, byte for byte."""
        token = uuid4().hex
        launch("web/0", token, settle=False)
        for other in (
            self.request("web/1", token),
            self.request("web/0", token, extra="tag"),
            replace(self.request("web/0", token), image="another-image"),
        ):
            with pytest.raises(Refused):
                compute.launch(other)
        self.wait_listed(compute, token, 1)

    def test_token_of_a_gone_instance_makes_no_second(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """A retry that comes too late is told that its instance has ended."""
        token = uuid4().hex
        instance = launch(token=token)
        compute.terminate(instance.id)
        self.wait(provider, "the end", lambda: instance.id not in [one.id for one in compute.list({})])
        try:
            again = compute.launch(self.request("web/0", token))
        except Refused:
            pass
        else:
            assert (again.id, again.state) == (instance.id, InstanceState.TERMINATED)
        self.wait_listed(compute, token, 0)

    def test_unknown_image_is_refused(self, compute: Compute) -> None:
        """And nothing is left of it."""
        token = uuid4().hex
        try:
            with pytest.raises(Refused):
                compute.launch(replace(self.request("web/0", token), image="no-such-image"))
        finally:
            for one in compute.list({TOKEN_TAG: token}):
                compute.terminate(one.id)

    def test_list_by_tags(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """All of the tags must match."""
        mark = uuid4().hex
        one, two = launch("web/0", mark=mark, kind="a"), launch("web/1", mark=mark, kind="b")
        assert {found.id for found in compute.list({"mark": mark})} == {one.id, two.id}
        assert [found.id for found in compute.list({"mark": mark, "kind": "b"})] == [two.id]
        assert list(compute.list({"mark": mark, "kind": "c"})) == []

    def test_tags_are_set_and_removed(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """An empty value removes; others stay. A taint's mark is in the inventory, for a daemon that lost its store."""
        instance = launch(keep="this")
        compute.tag(instance.id, {TAG_TAINT: "2026-01-31T08:00:00Z"})
        (found,) = [one for one in provider.inventory.find(self.group) if one.id == instance.id]
        assert (found.tags[TAG_TAINT], found.tags["keep"]) == ("2026-01-31T08:00:00Z", "this")
        compute.tag(instance.id, {TAG_TAINT: ""})
        (found,) = [one for one in provider.inventory.find(self.group) if one.id == instance.id]
        assert TAG_TAINT not in found.tags
        compute.tag(instance.id, {"driftd:quarantine": "yes", "other": "ü \n x"})
        tags = compute.describe(instance.id).tags
        assert (tags["driftd:quarantine"], tags["other"], tags["keep"]) == ("yes", "ü \n x", "this")
        compute.tag(instance.id, {"driftd:quarantine": "", "other": ""})
        assert "driftd:quarantine" not in compute.describe(instance.id).tags
        assert compute.describe(instance.id).tags["keep"] == "this"

    def test_nobody_is_not_found(self, compute: Compute) -> None:
        """Every call about one instance says so, but ending what is gone is success."""
        for call in (compute.describe, compute.stop, compute.start):
            with pytest.raises(NotFound):
                call(NOBODY)
        with pytest.raises(NotFound):
            compute.tag(NOBODY, {"a": "b"})
        compute.terminate(NOBODY)

    def test_terminate_twice(self, provider: Provider, compute: Compute, launch: Callable[..., Instance]) -> None:
        """Gone is gone, and gone already is success."""
        instance = launch()
        compute.terminate(instance.id)
        compute.terminate(instance.id)
        self.wait(provider, "the end", lambda: instance.id not in [one.id for one in compute.list({})])
        assert instance.id not in [one.id for one in provider.inventory.find(self.group)]
        with suppress(NotFound):  # a provider may forget
            assert compute.describe(instance.id).state is InstanceState.TERMINATED

    def test_stop_and_start_keep_the_disk(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Power off and on: same id, same address, same disk."""
        instance = launch()
        self.leave_mark(provider, instance)
        for _ in range(2):
            compute.stop(instance.id)
        self.wait(provider, "stopped", lambda: compute.describe(instance.id).state is InstanceState.STOPPED)
        assert instance.id in [one.id for one in compute.list({})]
        for _ in range(2):
            compute.start(instance.id)
        self.wait(provider, "running", lambda: compute.describe(instance.id).state is InstanceState.RUNNING)
        assert compute.describe(instance.id).address == instance.address
        assert self.has_mark(provider, instance)

    def test_inventory_is_sorted_and_by_group(self, provider: Provider, launch: Callable[..., Instance]) -> None:
        """By slot, then id; stopped ones count."""
        ids = {launch(f"web/{number}").id for number in (2, 0, 1)}
        found = [one for one in provider.inventory.find(self.group) if one.id in ids]
        assert [one.slot for one in found] == ["web/0", "web/1", "web/2"]

    def test_a_preflight_says_what_a_launch_would_be_told(self, provider: Provider, compute: Compute) -> None:
        """Nothing when it would succeed, else one sentence; and nothing is made."""
        before = {one.id for one in compute.list({})}
        assert compute.preflight(self.request("web/0", uuid4().hex)) == ""
        why = compute.preflight(replace(self.request("web/0", uuid4().hex), image="no-such-image"))
        assert why
        assert why.isprintable()
        assert {one.id for one in compute.list({})} == before
