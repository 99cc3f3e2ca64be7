"""Manifests that a pipeline publishes in S3: an image's files are fetched when somebody asks for the image.

The envelope says by digests what belongs to it, so that as long as it is the same object (its ETag), nothing else is
asked for. Of what nobody signed the manifest stands for the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, HTTPClientError

from driftd.core.errors import ProviderError, Refused, Unavailable
from driftd.core.wording import count
from driftd.edges.documents.names import ENVELOPE, MANIFEST, OVERLAY, SIDECAR, SIZE_LIMIT, file_name
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of

_PIECE = 1 << 20
_ABSENT = frozenset({"NoSuchKey", "404"})
_SAME = frozenset({"304", "NotModified"})


@dataclass(frozen=True, slots=True)
class Care:
    """How a bucket keeps what was published. ``lock`` is the mode and the time of Object Lock, "" without one; ``why``
    is why that could not be read.
    """

    versions: bool = False
    lock: str = ""
    why: str = ""
    hint: str = ""


class Bucket:
    """Implements ``driftd.edges.documents.manifests.Source``."""

    def __init__(
        self,
        cloud: Cloud,
        url: str,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
        limit: int = SIZE_LIMIT,
    ) -> None:
        """``url`` is ``s3://BUCKET/PREFIX``; ``limit`` is in bytes, of one file."""
        self._cloud = cloud
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self._every_s = every_s
        self._clock = clock
        self._limit = limit
        self._locks: dict[str, threading.Lock] = {}
        self._due: dict[str, float] = {}
        self._tags: dict[str, str] = {}  # by image, of the object that stands for the rest
        self._why: dict[str, str] = {}

    def newer(self, image: str, *, wait: bool) -> Mapping[str, bytes]:
        """See ``Source.newer``."""
        lock = self._locks.setdefault(image, threading.Lock())
        if not lock.acquire(blocking=wait):
            return {}  # somebody else asks, and what is there will do
        try:
            if self._clock() < self._due.get(image, 0.0):
                return self._as_before(image)
            self._why.pop(image, None)
            try:
                return self._fetched(image)
            except ProviderError as error:
                self._why[image] = f"it could not be fetched from s3://{self._bucket}/{self._prefix}: {error}"
                return self._as_before(image)
            finally:
                self._due[image] = self._clock() + self._every_s
        finally:
            lock.release()

    def forget(self, image: str) -> None:
        """See ``Source.forget``."""
        self._tags.pop(image, None)
        self._due.pop(image, None)

    def care(self) -> Care:
        """How what is published is kept there. Raises ``ProviderError`` where nothing can be read there at all."""
        self._object("driftd-doctor", MANIFEST)
        try:
            kept = self._cloud.ask("s3", "get_bucket_versioning", Bucket=self._bucket).get("Status") == "Enabled"
            return Care(kept, self._lock() if kept else "")
        except ProviderError as error:
            return Care(why=str(error), hint=error.hint)

    def _lock(self) -> str:
        """What Object Lock does to each new version by itself; it needs versions."""
        try:
            said = self._cloud.ask("s3", "get_object_lock_configuration", Bucket=self._bucket)
        except ProviderError as error:
            if code_of(error) == "ObjectLockConfigurationNotFoundError":
                return ""
            raise
        rule = said.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
        if not rule:
            return ""
        length = count(int(rule["Years"]), "year") if rule.get("Years") else count(int(rule.get("Days", 0)), "day")
        return f"{str(rule.get('Mode', '')).lower()}, {length}"

    def _as_before(self, image: str) -> Mapping[str, bytes]:
        if why := self._why.get(image):
            raise Unavailable(why, "see the bucket, the region and the credentials (docs/manifest.md)")
        return {}

    def _fetched(self, image: str) -> Mapping[str, bytes]:
        """All files of an image, as they belong together; nothing where they are those that were fetched before."""
        known = self._tags.get(image, "")
        for suffix in (ENVELOPE, MANIFEST):
            first, tag = self._object(image, suffix, known)
            if tag == known != "":
                return {}
            if first is None:
                continue
            found = {file_name(image, suffix): first}
            for other in {MANIFEST, OVERLAY, SIDECAR} - {suffix}:
                data, _ = self._object(image, other)
                if data is not None:
                    found[file_name(image, other)] = data
            if self._object(image, suffix, tag)[1] != tag:
                raise Unavailable(f"{image} was published anew meanwhile")
            self._tags[image] = tag
            return found
        return {}

    def _object(self, image: str, suffix: str, known: str = "") -> tuple[bytes | None, str]:
        """The bytes and the ETag of one file; no bytes where it is the ``known`` one, or not there."""
        key = self._prefix + file_name(image, suffix)
        condition = {"IfNoneMatch": known} if known else {}
        try:
            answer = self._cloud.ask("s3", "get_object", Bucket=self._bucket, Key=key, **condition)
        except ProviderError as error:
            if code_of(error) in _SAME:
                return None, known
            if code_of(error) in _ABSENT:
                return None, ""
            raise
        return self._read(answer, key), str(answer["ETag"])

    def _read(self, answer: Mapping[str, Any], key: str) -> bytes:
        parts, left = [], self._limit + 1
        try:
            with answer["Body"] as body:
                while left > 0 and (part := body.read(min(left, _PIECE))):
                    parts.append(part)
                    left -= len(part)
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise Unavailable(f"s3://{self._bucket}/{key} broke off: {type(error).__name__}") from error
        if left <= 0:
            raise Refused(f"s3://{self._bucket}/{key} is larger than a manifest may be ({self._limit} bytes)")
        return b"".join(parts)
