"""One account and region of AWS: every call that driftd makes goes through here.

``ask`` reads, or does what may be done twice, and may be repeated by botocore; ``do`` changes something and is sent
once, since whoever asked looks at what became of it before asking again. The names of services and operations stand as
literals at each call, so that the policies in docs/aws.md can be made from the calls that the code can make.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session, get_session
from botocore.utils import parse_timestamp

from driftd import __version__
from driftd.core.errors import ProviderError, Refused
from driftd.edges.providers.aws.errors import code_of, translated
from driftd.edges.providers.aws.settings import AwsSettings

_IAM_PREFIX = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}
# Those that do not follow from the operation's.
_NAMES = {
    "get_object_lock_configuration": "GetBucketObjectLockConfiguration",
    "send_ssh_public_key": "SendSSHPublicKey",
}
_READING = ("describe_", "list_", "lookup_", "get_")
_ASIDE = frozenset({"s3", "ssm"})  # commands and their output: nothing that is listed of instances changes by them
_UNLISTED = frozenset({"record_lifecycle_action_heartbeat"})
_CONNECT_S = 5
_READ_S = 30


def action_of(service: str, operation: str) -> str:
    """What IAM calls an operation: ``ec2``, ``describe_instances`` is ``ec2:DescribeInstances``."""
    name = _NAMES.get(operation) or "".join(part.title() for part in operation.split("_"))
    return f"{_IAM_PREFIX.get(service, service)}:{name}"


class Cloud:
    """boto3's clients of one region, made when they are first used. Any thread may ask."""

    def __init__(self, settings: AwsSettings, section: str = "providers.aws") -> None:
        self.settings = settings
        self.section = section  # where ``settings`` stand, for whoever is to correct them
        self.changes = 0  # calls of ``do`` that have ended and changed what is listed: what was read before may be old
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, bool], Any] = {}
        self._session: boto3.session.Session | None = None

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Read something. Raises ``ProviderError``."""
        return self._call(service, operation, parameters, once=False)

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """What stands under ``key`` in every page. Raises ``ProviderError``."""
        client = self._client(service, once=False)
        try:
            for page in client.get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())
        except (BotoCoreError, ClientError) as error:
            raise translated(error, service, operation, action_of(service, operation)) from error

    def do(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Change something, sent once. Raises ``ProviderError``."""
        try:
            return self._call(service, operation, parameters, once=True)
        finally:
            self.changes += service not in _ASIDE and operation not in _UNLISTED

    def try_out(self, service: str, operation: str, parameters: Mapping[str, Any]) -> ProviderError | None:
        """Whether a call would be permitted, with nothing done; None where it would be.

        EC2 is sent ``DryRun`` ("Actions", Amazon EC2 API Reference). Other services know none, so that only what
        reads can be tried on them: another one raises ValueError. Raises ``Refused`` where EC2, or what stands in its
        place, did as if it were no dry run.
        """
        dry = {"DryRun": True} if service == "ec2" else {}
        if not dry and not operation.startswith(_READING):
            raise ValueError(f"{service} {operation} changes something, and knows no dry run")
        try:
            self._call(service, operation, {**parameters, **dry}, once=True)
        except ProviderError as error:
            return None if code_of(error) == "DryRunOperation" else error
        if dry:
            raise Refused(f"{service} {operation}: a dry run was not taken for one", f"see {self.section}.endpoint")
        return None

    def close(self) -> None:
        """Give back connections."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _call(self, service: str, operation: str, parameters: dict[str, Any], *, once: bool) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(service, once=once), operation)(**parameters)
        except (BotoCoreError, ClientError) as error:
            raise translated(error, service, operation, action_of(service, operation)) from error
        return answer

    def _client(self, service: str, *, once: bool) -> Any:
        with self._lock:
            client = self._clients.get((service, once))
            if client is None:
                client = self._clients[service, once] = self._made(service, once=once)
            return client

    def _made(self, service: str, *, once: bool) -> Any:
        settings = self.settings
        retries = {"total_max_attempts": 1} if once else {"mode": "standard", "total_max_attempts": 4}
        config = Config(
            region_name=settings.region,
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries=retries,
            max_pool_connections=32,
            user_agent_extra=f"driftd/{__version__}",
        )
        try:
            if self._session is None:
                self._session = _session(settings)
            return self._session.client(service, config=config, endpoint_url=settings.endpoint or None)
        except (BotoCoreError, ClientError) as error:
            raise translated(error, service, "connect", f"{service}:*") from error


def _core() -> Session:
    """A session of botocore, whose own way to read a time takes a third of what an answer costs."""
    core = get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return core


def _moment(told: Any) -> datetime:
    """A time as AWS tells it: ISO 8601 in most answers."""
    if isinstance(told, str):
        with suppress(ValueError):
            at = datetime.fromisoformat(told)
            if at.tzinfo is not None:
                return at
    found: datetime = parse_timestamp(told)
    return found


def _session(settings: AwsSettings) -> boto3.session.Session:
    base = boto3.session.Session(
        botocore_session=_core(), profile_name=settings.profile or None, region_name=settings.region
    )
    if not settings.role:
        return base
    return _assumed(base, settings)


def _assumed(base: boto3.session.Session, settings: AwsSettings) -> boto3.session.Session:
    """A session of the role, whose credentials botocore renews before they end."""
    arguments = {"RoleSessionName": "driftd", **({"ExternalId": settings.external_id} if settings.external_id else {})}
    fetcher = AssumeRoleCredentialFetcher(
        lambda service, **more: base.client(service, endpoint_url=settings.endpoint or None, **_plain(more)),
        base.get_credentials(),
        settings.role,
        extra_args=arguments,
    )
    session = _core()
    session._credentials = DeferredRefreshableCredentials(  # noqa: SLF001  # botocore has no public way in
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    session.set_config_variable("region", settings.region)
    return boto3.session.Session(botocore_session=session, region_name=settings.region)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
