"""How this deployment looks: which looker sees which instance, and the visit that the store has open meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from driftd.core.asides import StoppableLooker
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.glance.ages import kept_for, rehash
from driftd.core.interned import Interned
from driftd.core.ports import AskFor, Looker
from driftd.core.visits import Announced
from driftd.edges.local import LocalLooker
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import MEBIBYTE, CertificateOptions, SshOptions
from driftd.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


def certificates(settings: Settings) -> CertificateOptions | None:
    """How visits' certificates are made; None where they are made with a key."""
    said = settings.ssh.certificate
    if said is None:
        return None
    return CertificateOptions(
        str(settings.path(said.ca)),
        said.valid.total_seconds(),
        tuple(said.principals),
        tuple(said.source_address),
        forced=said.force_command,
    )


class RoutedLooker:
    """A local tree is looked at in place, what a provider itself looks at by it (``own``, by group), all else over SSH.

    ``own`` is asked when one of those is met: elsewhere no provider is needed.
    """

    def __init__(self, local: Looker, ssh: SshLooker, own: Callable[[], Mapping[str, StoppableLooker]] = dict) -> None:
        self._local = local
        self._ssh = ssh
        self._own = own

    def _of(self, instance: Instance) -> Looker:
        if instance.reach.means:
            return self._own()[instance.group]
        return self._local if instance.reach.root else self._ssh

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        return self._of(instance).look(instance, deadline_s=deadline_s, key=key, ask=ask, image=image)

    def stop(self) -> None:
        """End the looks that are under way: the process is to end."""
        self._ssh.stop()
        for looker in self._own().values():
            looker.stop()

    def own_key(self, instance: Instance) -> str:
        return self._of(instance).own_key(instance)

    def standing(self, instance: Instance) -> Announced | None:
        """See ``SshLooker.standing``."""
        return None if instance.reach.root or instance.reach.means else self._ssh.standing(instance)


def glancing(
    settings: Settings, options: SshOptions, beside: Path, own: Callable[[], Mapping[str, StoppableLooker]]
) -> RoutedLooker:
    """The looker that keeps what a look leaves; ``beside`` is the directory of the store."""
    daemon = settings.daemon
    if daemon.cache == "off":
        return RoutedLooker(LocalLooker(), SshLooker(options), own)
    directory = settings.path(daemon.cache) if daemon.cache else beside / "looks"
    kept = RecollectionDirectory(directory, daemon.cache_mib * MEBIBYTE)
    ages = rehash(daemon.rehash_code, daemon.rehash)

    def worth(instance: Instance) -> float:
        group = settings.groups.get(instance.group)
        return kept_for(group.every, settings.ssh.keep).total_seconds() if group else 0.0

    return RoutedLooker(LocalLooker(), SshLooker(options, recollections=kept, rehash=ages, worth=worth), own)


def several(work: Callable[[T], R], items: list[T], at_once: int) -> Iterator[R]:
    """``work`` done on every item, ``at_once`` at a time; results as they come."""
    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(items) or 1)), thread_name_prefix="look") as pool:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()
