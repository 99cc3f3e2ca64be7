"""The aws provider keeps the contract, against the emulator of AWS with real servers behind it."""

from __future__ import annotations

from contextlib import contextmanager

import accounts
import pytest
from served import ServedContract

from driftd.edges.providers.aws.provider import create

pytestmark = [pytest.mark.servers, pytest.mark.machine]


@pytest.fixture(scope="module")
def account(golden_image, image_cache, login_key):
    with accounts.opened(golden_image, image_cache, login_key, volumes=2) as made:
        yield made


class TestAws(ServedContract):
    @pytest.fixture
    def provider(self, account, monkeypatch):
        account.credentials(monkeypatch)
        type(self).image = account.image
        type(self).account_ = account
        type(self).deployment_ = account.behind.deployment
        made = create(account.options())
        yield made
        made.close()

    def server(self, instance):
        return self.account_.behind.server(instance.id)

    @contextmanager
    def somebody_let_in(self, provider, instance):
        ssm = self.account_.client("ssm")
        session = ssm.start_session(Target=instance.id)["SessionId"]
        yield
        ssm.terminate_session(SessionId=session)
