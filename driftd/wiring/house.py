"""One configured house: everything that the doors may ask for, made on first use."""

from __future__ import annotations

import getpass
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.asides import StoppableLooker
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.findings import Action
from driftd.core.imagedrift import Wanted
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.policy import Policy
from driftd.core.ports import Provider
from driftd.core.transactions.contents import PackageSource
from driftd.core.wording import near
from driftd.doors.demo.stage import Stage, Where
from driftd.doors.house import Engine, HostKey
from driftd.edges import documents, logs, providers, rooms
from driftd.edges import store as stores
from driftd.edges.local import LocalLooker
from driftd.edges.packages import PackageDirectory
from driftd.edges.service import ServiceManager
from driftd.edges.ssh.hostkeys import known
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.trust import record_host_keys, scan_host_keys
from driftd.edges.store import open_store
from driftd.flows.audit import Besides, Rules, Visits, audit
from driftd.flows.groups import Group
from driftd.flows.remembering import Known, Run
from driftd.flows.replace import Replacer
from driftd.flows.visit import Audit, Visiting, Visitor
from driftd.settings import Settings
from driftd.wiring.answering import policy_of
from driftd.wiring.attesting import Attesting
from driftd.wiring.baking import DEADLINE_S, Baking, tree
from driftd.wiring.calibrating import Calibrating
from driftd.wiring.custody import Custody
from driftd.wiring.disks import Disks
from driftd.wiring.doctoring import Doctoring
from driftd.wiring.explaining import Explaining
from driftd.wiring.exports import Exporting
from driftd.wiring.groups import join, own_lookers
from driftd.wiring.guarding import most_of
from driftd.wiring.keeping import Keeping
from driftd.wiring.looking import RoutedLooker, certificates, glancing, several
from driftd.wiring.planning import Planning
from driftd.wiring.policies import Policies
from driftd.wiring.quarantining import Quarantining
from driftd.wiring.recounting import Recounting
from driftd.wiring.rolling import Rolling
from driftd.wiring.trust import Given, Remembered, Trusting

if TYPE_CHECKING:
    from driftd.wiring.rehearsing import Rehearsing

_HOST = re.compile(r"(?:[^@/\s]+@)?[A-Za-z0-9._:%\[\]-]+")  # [USER@]HOST[:PORT], names and addresses of both kinds


class WiredHouse:
    """Implements ``driftd.doors.house.House`` for one configuration."""

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self.settings = settings
        self.config = config
        logs.configure(level=logging.WARNING)

    # --- small things ---

    def now(self) -> datetime:
        """The clock, the only one."""
        return datetime.now(UTC)

    def person(self) -> str:
        """Who sudo says was there first, else who this is."""
        return os.environ.get("SUDO_USER") or getpass.getuser()

    def enforce(self, group: str) -> Action:
        """The most that any rule may do in ``group``; a group that left the configuration is only observed."""
        known_group = self.settings.groups.get(group)
        return most_of(known_group) if known_group else Action.ALERT

    def every(self, group: str) -> timedelta:
        """How often an instance of ``group`` is looked at."""
        known_group = self.settings.groups.get(group)
        return known_group.every if known_group else timedelta(0)

    def known_groups(self) -> Sequence[str]:
        return [*self.settings.groups]

    def pause_file(self) -> Path:
        return self.settings.path(self.settings.pause_file)

    # --- edges ---

    @contextmanager
    def store(self, *, read_only: bool = False) -> Iterator[Store]:
        opened = open_store(self.store_url, read_only=read_only)
        try:
            yield opened
        finally:
            opened.close()

    @cached_property
    def store_url(self) -> str:
        """The store's address with its path made absolute."""
        scheme, separator, path = self.settings.store.partition(":///")
        return f"{scheme}:///{self.settings.path(path)}" if separator and path else self.settings.store

    def room(self) -> AbstractContextManager[Path]:
        """A private directory beside the store for one disk, nobody else's meanwhile."""
        return rooms.alone(Path(stores.path_of(self.store_url)).parent / "disks")

    @cached_property
    def trusting(self) -> Trusting:
        """Whose manifests count."""
        return Trusting(self.settings, self.now)

    def trust(self) -> Trusting:
        return self.trusting

    def exports(self) -> Exporting:
        return Exporting(self.now)

    @property
    def manifests(self) -> documents.ManifestDirectory:
        """Manifests by image, each by what is trusted."""
        return self.trusting.manifests

    @cached_property
    def keys(self) -> documents.DigestKeyDirectory:
        """The images' digest keys."""
        return documents.DigestKeyDirectory(self.settings.path(self.settings.keys))

    @cached_property
    def packages(self) -> PackageSource | None:
        """Where packages that changed are verified; None where no directory is named."""
        return PackageDirectory(self.settings.path(self.settings.packages)) if self.settings.packages else None

    def use_packages(self, directory: Path) -> None:
        self.packages = PackageDirectory(directory)

    @cached_property
    def ssh_options(self) -> SshOptions:
        """What is the same for every way in."""
        ssh = self.settings.ssh
        files = (self.settings.path(ssh.known_hosts), Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
        return SshOptions(
            key_file=str(self.settings.path(ssh.key)) if ssh.key else "",
            certificate=certificates(self.settings),
            known_hosts=files,
            sudo=ssh.sudo,
            connect_s=ssh.connect_timeout.total_seconds(),
        )

    @cached_property
    def looker(self) -> RoutedLooker:
        """Sees any instance, whole."""
        return RoutedLooker(LocalLooker(), SshLooker(self.ssh_options), self._own_lookers)

    @cached_property
    def glancer(self) -> RoutedLooker:
        """Sees any instance at the cost of what changed since the last look."""
        beside = Path(stores.path_of(self.store_url)).parent
        return glancing(self.settings, self.ssh_options, beside, self._own_lookers)

    def _own_lookers(self) -> Mapping[str, StoppableLooker]:
        return own_lookers(self.groups)

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """Every configured group, joined with its provider."""
        return join(self.settings)

    def provider(self, group: str) -> Provider:
        """The provider that serves ``group``."""
        self.settings.group(group)
        return self.groups[group].provider

    @cached_property
    def policies(self) -> Mapping[str, Policy]:
        """Each group's policy, read once."""
        return {name: policy_of(self.settings, name) for name in self.settings.groups}

    # --- looking ---

    def find(self, targets: Sequence[str]) -> Sequence[Instance]:
        if not self.settings.groups:
            raise BadInput("no group is configured, so there is nothing to look at", "docs/configuration.md shows one")
        everything = [i for group in self.groups.values() for i in group.members()]
        chosen: dict[str, Instance] = {}
        for target in targets:
            found = [i for i in everything if target in {i.id, i.slot, i.group, i.address, i.reach.host}]
            if not found:
                names = [name for i in everything for name in (i.slot or i.id, i.id, i.group, i.address) if name]
                raise BadInput(f"nothing in the inventory is called {target!r}", near.hint(target, names))
            chosen.update({i.id: i for i in found})
        return list(chosen.values()) if targets else everything

    def audit(self, instances: Sequence[Instance], *, strict: bool) -> Iterator[Look]:
        _ = self.policies  # a mistake in a policy is said before anybody is visited

        run = Run()

        def look(instance: Instance, visits: Visits, known: Known) -> Look:
            return self.judged_look(instance, visits, known, store, strict=strict)

        # The store learns of the visit, lest a later look takes it for a stranger's.
        with self.store() as store:
            looks = several(self.visitor(store, look, run), list(instances), self.settings.daemon.lookers)
            with store.read() as tx:
                accepted = tx.suppressions(self.now())
            yield from run.completed(looks, lambda group: Rules(self.policies[group], accepted, strict))

    def judged_look(
        self,
        instance: Instance,
        visits: Visits,
        known: Known,
        store: Store,
        *,
        strict: bool = False,
        looker: RoutedLooker | None = None,
        besides: Besides | None = None,
    ) -> Look:
        """One look at one instance, judged by its group's policy; ``store`` learns which manifests were seen."""
        remembered = Remembered(self.manifests, store, self.now, known)
        policy, overlays = self.policies[instance.group], self.calibrating().overlays
        rules = Rules(policy, known.suppressions, strict, overlays, self.explaining().showing, self.packages, besides)
        deadline = self.settings.ssh.look_timeout.total_seconds()
        return audit(
            instance,
            looker or self.looker,
            remembered,
            rules,
            visits,
            self.now,
            keys=self.keys,
            deadline_s=deadline,
            past=known.past,
            provider=self.provider(instance.group),
            wanted=self._wanted(instance.group, known),
        )

    def _wanted(self, group: str, known: Known) -> Wanted | None:
        """What the group is to run, where its provider tells what runs: elsewhere the configuration alone says both."""
        if self.provider(group).compute is None:
            return None
        return Wanted(self.settings.groups[group].image, known.chosen, known.rollouts)

    def visitor(self, store: Store, look: Audit, run: Run | None = None) -> Visitor:
        """Whoever looks with a visit open in the store."""
        longest = self.settings.ssh.look_timeout * 2
        return Visitor(store, look, self.looker.own_key, clock=self.now, longest=longest, run=run)

    def audit_root(
        self, root: Path, manifest: Path, policy: Sequence[str], *, strict: bool, keys: Sequence[Path] = ()
    ) -> Look:
        made = self.trusting.given(manifest, keys)
        instance = tree(root, made.image)
        showing = self.explaining().showing_beside(manifest)
        overlays = documents.OverlayDirectory(manifest.parent, manifest)
        rules = Rules(documents.load_policy(policy, Path()), (), strict, overlays, showing, self.packages)
        return audit(instance, self.looker, Given(made), rules, tuple, self.now, keys=self.keys, deadline_s=DEADLINE_S)

    def disks(self) -> Disks:
        return Disks(self)

    @cached_property
    def _explaining(self) -> Explaining:
        return Explaining(self)

    def explaining(self) -> Explaining:
        return self._explaining

    @cached_property
    def _calibrating(self) -> Calibrating:
        return Calibrating(self)

    def calibrating(self) -> Calibrating:
        return self._calibrating

    # --- baking ---

    def baking(self) -> Baking:
        return Baking(self)

    def announced(self, instance: Instance, store: Store) -> AbstractContextManager[Instance]:
        """A visit that is no audit, of the instance that this gives."""
        return Visiting(store, instance, self.looker.own_key(instance), self.now)

    def host(self, target: str) -> Instance:
        """A target of the configuration, else any [USER@]HOST[:PORT]."""
        try:
            found = self.find([target])
        except BadInput:
            if not _HOST.fullmatch(target):
                raise
            options = {"groups": {"host": {"hosts": [target], "reach": {"ssh": {"user": self.settings.ssh.user}}}}}
            found = providers.load("static", options).inventory.find("host")
        if len(found) != 1:
            raise BadInput(f"{target!r} names {len(found)} instances", "bake from one")
        return found[0]

    # --- host keys ---

    def _place(self, target: str) -> tuple[str, int]:
        instance = self.host(target)
        return instance.reach.host, instance.reach.port

    def scan_host_keys(self, target: str) -> Sequence[HostKey]:
        host, port = self._place(target)
        have = known(host, port, self.ssh_options.known_hosts)
        return [HostKey(key.type, key.fingerprint, key in have.keys) for key in scan_host_keys(host, port)]

    def record_host_keys(self, target: str) -> Path:
        host, port = self._place(target)
        record_host_keys(self.ssh_options.known_hosts[0], host, port, scan_host_keys(host, port))
        return self.ssh_options.known_hosts[0]

    # --- policies, requests, proof ---

    def policy_desk(self) -> Policies:
        return Policies(self)

    def request_replacement(self, instance: str, why: str) -> str:
        found = self.find([instance])
        if len(found) != 1:
            raise BadInput(f"{instance!r} names {len(found)} instances", "replace them one at a time")
        with self.store() as store:
            return self.replacer(store).request(found[0], f"{self.person()} asked: {why}")

    def request_cancel(self, rid: str) -> str:
        with self.store() as store:
            return self.replacer(store).cancel(rid, self.person())

    def quarantining(self) -> Quarantining:
        return Quarantining(self)

    def rolling(self) -> Rolling:
        return Rolling(self)

    def replacer(self, store: Store) -> Replacer:
        """For requests only: it looks at nothing."""
        return Replacer(store, self.groups, _no_look, clock=self.now)

    def planning(self) -> Planning:
        return Planning(self)

    def keeping(self) -> Keeping:
        return Keeping(self)

    def rehearsing(self) -> Rehearsing:
        from driftd.wiring.rehearsing import Rehearsing  # noqa: PLC0415  # a simulation that no other command needs

        return Rehearsing(self)

    def recounting(self) -> Recounting:
        return Recounting(self)

    def custody(self) -> Custody:
        return Custody(self)

    def attesting(self) -> Attesting:
        return Attesting(self)

    def doctor(self) -> Doctoring:
        return Doctoring(self)

    # --- long-lived things ---

    def engine(self) -> Engine:
        from driftd.wiring.engine import start  # noqa: PLC0415  # only the daemon needs it

        return start(self)

    def manager(self) -> ServiceManager:
        return self._manager

    @cached_property
    def _manager(self) -> ServiceManager:
        return ServiceManager()

    def demo_inside(self, where: Where, *, keep: bool) -> int | None:
        from driftd.wiring.stage import inside  # noqa: PLC0415  # only the demo needs it

        return inside(where, keep=keep)

    def demo_stage(self, where: Where) -> Stage:
        from driftd.wiring.stage import stage  # noqa: PLC0415  # only the demo needs it

        return stage(where)

    def demo_clean(self) -> Sequence[str]:
        from driftd.wiring.stage import clean  # noqa: PLC0415  # only the demo needs it

        return clean()


def _no_look(_instance: Instance) -> Look:
    raise RuntimeError("a request looks at nothing")
