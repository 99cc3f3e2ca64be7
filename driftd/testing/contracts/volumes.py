"""What every provider promises of data volumes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance
from driftd.core.ports import Compute, Provider, Volume, Volumes
from driftd.testing.hooks import NOBODY, ContractHooks


class VolumesContract(ContractHooks):
    """One owner at a time, whatever happens to the owner."""

    def owner(self, volumes: Volumes, volume: Volume) -> str:
        """Who has it."""
        return next(one.attached_to for one in volumes.list() if one.id == volume.id)

    def test_a_volume_has_one_owner(self, volumes: Volumes, launch: Callable[..., Instance]) -> None:
        """Attached elsewhere only after it was detached."""
        volume = volumes.list()[0]
        one, two = launch("web/0"), launch("web/1")
        assert self.owner(volumes, volume) == ""
        volumes.detach(volume.id)
        for _ in range(2):
            volumes.attach(volume.id, one.id)
            assert self.owner(volumes, volume) == one.id
        with pytest.raises(Refused):
            volumes.attach(volume.id, two.id)
        assert self.owner(volumes, volume) == one.id
        for _ in range(2):
            volumes.detach(volume.id)
        volumes.attach(volume.id, two.id)
        assert self.owner(volumes, volume) == two.id
        volumes.detach(volume.id)

    def test_a_volume_in_use_is_not_detached(
        self, provider: Provider, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """Busy is refused, and changes nothing."""
        volume, instance = volumes.list()[0], launch()
        volumes.attach(volume.id, instance.id)
        with self.volume_in_use(provider, instance, volume):
            with pytest.raises(Refused):
                volumes.detach(volume.id)
            assert self.owner(volumes, volume) == instance.id
        volumes.detach(volume.id)

    def test_a_volume_survives_its_instance(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """And is free then."""
        volume, one, two = volumes.list()[0], launch("web/0"), launch("web/1")
        volumes.attach(volume.id, one.id)
        compute.terminate(one.id)
        self.wait(provider, "a free volume", lambda: self.owner(volumes, volume) == "")
        volumes.attach(volume.id, two.id)
        volumes.detach(volume.id)

    def test_unknown_volumes_and_owners(self, volumes: Volumes) -> None:
        """Not found, and the volume stays free."""
        volume = volumes.list()[0]
        with pytest.raises(NotFound):
            volumes.attach("no-such-volume", NOBODY)
        with pytest.raises(NotFound):
            volumes.attach(volume.id, NOBODY)
        assert self.owner(volumes, volume) == ""

    def test_a_file_system_keeps_its_name(self, volumes: Volumes, launch: Callable[..., Instance]) -> None:
        """Whoever has the volume, it is the same one; no two have the same."""
        one, two = launch("web/0"), launch("web/1")
        volume = volumes.list()[0]
        names = set()
        for instance in (one, two):
            volumes.attach(volume.id, instance.id)
            names.add(self.volume(volumes, volume).filesystem)
            volumes.detach(volume.id)
            names.add(self.volume(volumes, volume).filesystem)
        assert len(names) == 1
        known = [found.filesystem for found in volumes.list() if found.filesystem]
        assert len(set(known)) == len(known)

    def volume(self, volumes: Volumes, volume: Volume) -> Volume:
        """It, as it is listed now."""
        return next(one for one in volumes.list() if one.id == volume.id)

    def test_what_one_wrote_the_next_one_reads(
        self, provider: Provider, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """And who had it sees nothing of it any more."""
        volume, one, two = volumes.list()[0], launch("web/0"), launch("web/1")
        volumes.attach(volume.id, one.id)
        self.write(provider, one, volume, "precious")
        volumes.detach(volume.id)
        volumes.attach(volume.id, two.id)
        assert self.read(provider, two, volume) == "precious"
        assert self.read(provider, one, volume) == ""
        volumes.detach(volume.id)

    def test_a_stop_keeps_the_volume_and_a_start_brings_it_back(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """Power off and on: still the owner, and what was written is there."""
        volume, one = volumes.list()[0], launch("web/0")
        volumes.attach(volume.id, one.id)
        self.write(provider, one, volume, "precious")
        self.halt(provider, compute, one)
        assert self.owner(volumes, volume) == one.id
        self.revive(provider, compute, one)
        assert self.read(provider, one, volume) == "precious"
        volumes.detach(volume.id)

    def test_from_a_stopped_one_to_another(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """The stop is the fence: then it is let go of, and the old one comes back without it."""
        volume, one, two = volumes.list()[0], launch("web/0"), launch("web/1")
        volumes.attach(volume.id, one.id)
        self.write(provider, one, volume, "precious")
        self.halt(provider, compute, one)
        volumes.detach(volume.id)
        assert self.owner(volumes, volume) == ""
        volumes.attach(volume.id, two.id)
        assert self.read(provider, two, volume) == "precious"
        self.revive(provider, compute, one)
        assert self.owner(volumes, volume) == two.id
        assert self.read(provider, one, volume) == ""
        volumes.detach(volume.id)

    def test_attached_while_stopped_it_is_there_after_the_start(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """That is how a move is undone."""
        volume, one, two = volumes.list()[0], launch("web/0"), launch("web/1")
        volumes.attach(volume.id, two.id)
        self.write(provider, two, volume, "precious")
        volumes.detach(volume.id)
        self.halt(provider, compute, one)
        volumes.attach(volume.id, one.id)
        assert self.owner(volumes, volume) == one.id
        self.revive(provider, compute, one)
        assert self.read(provider, one, volume) == "precious"
        volumes.detach(volume.id)

    # --- snapshots ---

    def test_a_token_is_a_snapshot(self, volumes: Volumes, launch: Callable[..., Instance]) -> None:
        """However often it is asked for, one; it says what it is of."""
        volume, instance = volumes.list()[0], launch()
        volumes.attach(volume.id, instance.id)
        volumes.detach(volume.id)
        token = uuid4().hex
        first, second = volumes.snapshot(volume.id, token), volumes.snapshot(volume.id, token)
        assert first == second
        assert (first.volume_id, first.token) == (volume.id, token)
        assert first.filesystem == self.volume(volumes, volume).filesystem
        assert first.at.tzinfo is not None
        assert [one for one in volumes.snapshots() if one.token == token] == [first]
        other = volumes.snapshot(volume.id, uuid4().hex)
        assert other.id != first.id
        assert {one.id for one in volumes.snapshots()} == {first.id, other.id}

    def test_a_snapshot_token_of_another_volume_is_refused(self, volumes: Volumes) -> None:
        """A token stands for its volume."""
        both = [volume.id for volume in volumes.list()]
        if len(both) < 2:
            pytest.skip("there is one volume only")
        token = uuid4().hex
        made = volumes.snapshot(both[0], token)
        with pytest.raises(Refused):
            volumes.snapshot(both[1], token)
        assert [one.volume_id for one in volumes.snapshots()] == [both[0]]
        volumes.delete_snapshot(made.id)

    def test_what_is_being_written_to_is_not_copied(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """Refused while a running instance has it mounted; not when that has stopped, though it is still its own."""
        volume, instance = volumes.list()[0], launch()
        volumes.attach(volume.id, instance.id)
        token = uuid4().hex
        with pytest.raises(Refused):
            volumes.snapshot(volume.id, token)
        assert list(volumes.snapshots()) == []
        self.halt(provider, compute, instance)
        assert volumes.snapshot(volume.id, token).volume_id == volume.id
        assert self.owner(volumes, volume) == instance.id

    def test_a_deleted_snapshot_is_gone(self, volumes: Volumes) -> None:
        """Gone already is success, and others stay."""
        volume = volumes.list()[0]
        kept, gone = volumes.snapshot(volume.id, uuid4().hex), volumes.snapshot(volume.id, uuid4().hex)
        for _ in range(2):
            volumes.delete_snapshot(gone.id)
            assert list(volumes.snapshots()) == [kept]
        volumes.delete_snapshot(kept.id)
        with pytest.raises(NotFound):
            volumes.snapshot("no-such-volume", uuid4().hex)
