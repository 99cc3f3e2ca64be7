"""The local provider keeps the contract, on real servers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from served import Served
from servers import LocalDeployment

from driftd.testing import ProviderContract

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def deployment(golden_image, image_cache, login_key):
    root = Path(tempfile.mkdtemp(prefix="dd-"))
    deployment = LocalDeployment(root, image_cache, golden_image, login_key)
    try:
        yield deployment
        assert deployment.provider.compute.list({}) == []
    finally:
        deployment.clean()
        shutil.rmtree(root)


class TestLocal(Served, ProviderContract):
    @pytest.fixture
    def provider(self, deployment):
        type(self).image = deployment.image.id
        type(self).deployment_ = deployment
        volumes = {f"data-{number}": {"slot": f"web/{number}", "size_mb": 16} for number in range(2)}
        return deployment.make(traffic=True, volumes=volumes, addresses=["web/0"], stop_grace_s=3, zones=("a", "b"))
