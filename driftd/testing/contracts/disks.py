"""What a provider promises that can read an instance's root disk from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from driftd.core.asides import DiskReading
from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Compute, Provider
from driftd.testing.hooks import NOBODY, ContractHooks

LIMIT = 1 << 40


class DisksContract(ContractHooks):
    """Part of ``ProviderContract``; skipped for a provider that cannot."""

    def mark_on_disk(self, provider: Provider, instance: Instance, disk: Path) -> bool:
        """Is what ``leave_mark`` wrote in this raw image of the instance's root disk?"""
        raise NotImplementedError("override mark_on_disk()")

    @pytest.fixture
    def reading(self, provider: Provider) -> DiskReading:
        """The provider, or skip."""
        if not isinstance(provider, DiskReading):
            pytest.skip(f"provider {provider.name} reads no disks")
        return provider

    def test_a_disk_is_read_while_its_instance_runs_on_and_again(
        self,
        provider: Provider,
        reading: DiskReading,
        compute: Compute,
        launch: Callable[..., Instance],
        tmp_path: Path,
    ) -> None:
        """A second reading shows what was written after the first one."""
        one = launch("web/0")
        said = reading.read_root(one.id, "read-1", tmp_path / "before", LIMIT)
        assert said
        assert "\n" not in said
        self.leave_mark(provider, one)
        reading.read_root(one.id, "read-2", tmp_path / "after", LIMIT)
        assert compute.describe(one.id).state is InstanceState.RUNNING
        assert not self.mark_on_disk(provider, one, tmp_path / "before")
        assert self.mark_on_disk(provider, one, tmp_path / "after")
        assert list(reading.tidy_reads()) == [], "nothing is left behind"

    def test_what_is_too_large_or_nobodys_is_not_read(
        self, reading: DiskReading, launch: Callable[..., Instance], tmp_path: Path
    ) -> None:
        """And nothing is left where it would have been."""
        one = launch("web/0")
        with pytest.raises(Refused):
            reading.read_root(one.id, "read-3", tmp_path / "disk", 4096)
        with pytest.raises(NotFound):
            reading.read_root(NOBODY, "read-4", tmp_path / "disk", LIMIT)
        assert list(tmp_path.iterdir()) == []
