"""Fixtures for every floor: a golden image once a session, a deployment of its own for each test that asks for one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from servers import LocalDeployment
from vms import Vm, booted, tiny_image

from driftd.edges.providers.local import image
from driftd.edges.providers.local.image import ImageInfo
from driftd.edges.providers.local.tools import owns_machine
from driftd.edges.providers.local.vm import image as vm_images

REPO = Path(__file__).parent.parent

# Some tests take one contract by itself: its asserts are to explain themselves, too.
pytest.register_assert_rewrite("driftd.testing.contracts", "driftd.testing.hooks")

# Machines are shared and noisy: a slow example is no wrong one. pytest's timeout ends what hangs.
settings.register_profile("driftd", deadline=None)
settings.load_profile("driftd")


# How many seconds the tests of each file took together when the whole suite was last timed (make times).
TIMES = Path(__file__).parent / "times.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Of ours: one option, for make times."""
    parser.addoption("--keep-times", action="store_true", help="keep how long each file took in tests/times.json")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first (with xdist's --no-loadscope-reorder): no core is left waiting for one at the end.

    A file that nobody has timed yet may be long: it comes before all others.
    """
    times: dict[str, int] = json.loads(TIMES.read_text(encoding="utf-8"))
    items.sort(key=lambda item: -times.get(item.nodeid.partition("::")[0], sys.maxsize))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which tests failed, for scripts/test.py. Keep the times, where that is asked for: of every file whose tests
    ran now, and of no file that is gone.
    """
    if told := os.environ.get("DRIFTD_TEST_FAILED"):
        bad = [one.nodeid for kind in ("failed", "error") for one in terminalreporter.stats.get(kind, ())]
        Path(told).write_text(json.dumps(list(dict.fromkeys(bad))), encoding="utf-8")
    if not config.getoption("--keep-times"):
        return
    took: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took[report.nodeid.partition("::")[0]] += report.duration
    kept = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    kept |= {name: round(seconds) for name, seconds in took.items()}
    there = {name: kept[name] for name in sorted(kept, key=lambda name: (-kept[name], name)) if (REPO / name).exists()}
    TIMES.write_text(json.dumps(there, indent=0) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def image_cache() -> Path:
    """Where golden images are kept between runs."""
    if "DRIFTD_TEST_IMAGES" in os.environ:
        return Path(os.environ["DRIFTD_TEST_IMAGES"])
    return REPO / ".cache" / ("images" if owns_machine() else "images-userns")


@pytest.fixture(scope="session")
def golden_image(image_cache) -> ImageInfo:
    """The demo's image, built once (half a minute), then reused."""
    return image.ensure(image_cache)


@pytest.fixture
def demo_cache(image_cache: Path, golden_image: ImageInfo) -> Iterator[Path]:
    """A cache directory of a demo's own, with the image and the emulator's environment in it."""
    place = Path(tempfile.mkdtemp(prefix="dd-"))
    (place / "driftd").mkdir()
    (place / "driftd" / ("images" if owns_machine() else "images-userns")).symlink_to(image_cache)
    (place / "driftd" / "moto").symlink_to(REPO / ".venv-moto")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def second_image(image_cache) -> ImageInfo:
    """Another release of the same image: only the application differs."""
    return image.ensure(image_cache, release="2")


@pytest.fixture(scope="session")
def login_key(tmp_path_factory) -> Path:
    """An SSH key that the instances let in."""
    key = tmp_path_factory.mktemp("key") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "driftd-tests", "-f", str(key)], check=True)
    return key


@pytest.fixture
def local_deployment(golden_image, image_cache, login_key):
    """A deployment in a fresh directory with a short path; everything of it ends with the test."""
    root = Path(
        tempfile.mkdtemp(prefix="dd-", dir="/var/tmp")
    )  # where an overlay keeps hard links, as servers have them
    deployment = LocalDeployment(root, image_cache, golden_image, login_key)
    try:
        yield deployment
    finally:
        deployment.clean()
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def vm_image(image_cache) -> ImageInfo:
    """The image of local-vm's systemd guest, built once (a minute), then reused."""
    return vm_images.ensure(image_cache)


@pytest.fixture(scope="session")
def tiny_vm_image(image_cache, vm_image) -> ImageInfo:
    """A machine's image that boots in a few seconds: a kernel, busybox and an HTTP server. No SSH."""
    return tiny_image(image_cache, vm_image)


@pytest.fixture(scope="module")
def fresh_vm(image_cache, vm_image, login_key) -> Iterator[Vm]:
    """A systemd guest for one module."""
    with booted(image_cache, vm_image, login_key) as one:
        yield one
