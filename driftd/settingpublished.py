"""Where manifests are published besides the directory that they lie in (docs/manifest.md)."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from driftd.settingparts import Duration, Strict


class Published(Strict):
    """A bucket in S3, asked again for an image's files at most ``every`` so often.

    Credentials are found as boto3 finds them: ``profile`` names one of ``~/.aws``, ``role`` is assumed. ``endpoint`` is
    another URL for S3: that of a store that speaks its protocol.
    """

    s3: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    profile: str = ""
    role: str = ""
    external_id: str = ""
    endpoint: str = Field(default="", pattern=r"^$|^https?://\S+$")
    every: Duration = Field(default=timedelta(minutes=5), ge=timedelta(seconds=1))
