"""Copies of root volumes on AWS, as who looks at the account without driftd sees them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from emulated import REGION

from driftd.edges.providers.aws.provider import create


@pytest.fixture
def provider(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = {"region": REGION, "endpoint": cloud.emulator.url}
    made = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
    yield made
    made.close()


def tags(cloud, snapshot):
    found = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    return {one["Key"]: one["Value"] for one in found["Tags"]}


def test_it_says_how_long_it_is_meant_to_be_kept(cloud, provider):
    (ident,) = cloud.run()
    until = datetime(2026, 12, 24, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    made = provider.copy_root(ident, "evidence-1", until)
    assert tags(cloud, made.id)["driftd:until"] == "2026-12-23T23:30:00Z"
    assert provider.copy_root(ident, "evidence-1", until + timedelta(days=1)) == made
    assert "driftd:until" not in tags(cloud, provider.copy_root(ident, "evidence-2").id)
    assert provider.root_copies()[0].at < datetime.now(UTC)
