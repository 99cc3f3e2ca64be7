"""The demo's stage for tests: its own directory, ports and short times; everything of it ends with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from days import Day
from fleets import QUICK, Fleet, stages


@pytest.fixture
def stage_of(image_cache, golden_image):
    with stages(image_cache) as make:
        yield make


@pytest.fixture(scope="module")
def shared_fleet(request, image_cache, golden_image):
    """One fleet for all tests of a module, of its ``TEMPLATE`` where it has one; each leaves it whole."""
    with stages(image_cache) as make:
        yield Fleet(make(getattr(request.module, "TEMPLATE", QUICK)))


@pytest.fixture
def fleet_of(stage_of) -> Callable[[str], Fleet]:
    return lambda template: Fleet(stage_of(template))


@pytest.fixture
def fleet(fleet_of) -> Fleet:
    return fleet_of(QUICK)


@pytest.fixture
def day_of(shared_fleet, monkeypatch) -> Iterator:
    monkeypatch.setenv("COLUMNS", "300")
    days: list[Day] = []

    def begin(changes: dict[str, str], start: bool = True) -> Day:
        day = Day(shared_fleet, changes)
        days.append(day)
        if start:
            day.start()
        return day

    yield begin
    for day in days:
        (day.log.parent / "pause").unlink(missing_ok=True)
        try:
            day.stop()
        finally:
            day.fleet.stage.config.write_text(day.original)
    if days:
        shared_fleet.whole()
