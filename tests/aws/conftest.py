"""One emulator for a file of tests, as new for each test; `cloud` has plain boto3 clients of it."""

import pytest
from emulated import Cloud, Emulator, FakeMatter


@pytest.fixture(scope="module")
def emulator_process():
    started = Emulator()
    yield started
    started.close()


@pytest.fixture
def emulator(emulator_process):
    emulator_process.reset()
    return emulator_process


@pytest.fixture
def cloud(emulator):
    return Cloud(emulator)


@pytest.fixture(scope="module")
def matter_process():
    matter = FakeMatter()
    started = Emulator("--matter", matter.url)
    yield matter, started
    started.close()
    matter.close()


@pytest.fixture
def matter(matter_process):
    """The world behind `backed`: its orders, and what it answers."""
    matter, started = matter_process
    matter.forget()
    started.reset()
    matter.forget()
    return matter


@pytest.fixture
def backed(matter, matter_process):
    """A cloud with a matter behind its records."""
    return Cloud(matter_process[1])
