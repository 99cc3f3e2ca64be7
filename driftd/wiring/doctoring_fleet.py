"""The doctor's checks of the fleet: providers, images' manifests, ways in, and each instance behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core import checkup
from driftd.core.asides import Permissioned
from driftd.core.checkup import Check, Mark, Point
from driftd.core.errors import BadInput, DriftdError
from driftd.core.facts import Instance, InstanceState, Unseen
from driftd.core.memory import Store
from driftd.core.wording import doctor as say
from driftd.core.wording import near, not_running
from driftd.edges import store as stores
from driftd.edges.ssh.certificates import authority
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.greeting import greet, knock
from driftd.edges.ssh.keys import identity
from driftd.settings import Enforce

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

_GREETING_S = 30.0


def fleet(house: WiredHouse, targets: Sequence[str], *, login: bool, most: int) -> Iterator[Check]:
    """Of every group its provider; then each image, each way in, each instance. Raises BadInput for unknown targets."""
    if not house.settings.groups:
        return
    made = _Fleet(house, login=login)
    try:
        _ = house.groups
    except DriftdError as error:
        # One provider that cannot be made keeps all from being made, and says which.
        point = Point("providers", "all", Mark.WRONG, str(error), error.hint)
        yield Check("providers", "all", partial(_told, point))
        return
    for name in house.settings.groups:
        yield Check("providers", name, partial(made.provider, name))
    used = {group.provider for group in house.settings.groups.values()}
    for name in sorted(house.settings.providers.keys() - used):
        point = Point("providers", name, Mark.NOTE, say.section_unused(name), say.SECTION_UNUSED_HINT)
        yield Check("providers", name, partial(_told, point))
    yield from made.credentials()
    wanted = made.wanted(targets)
    for image in dict.fromkeys(one.image for one in wanted):
        yield Check("manifests", image or "unnamed", partial(made.image, image))
    for key in dict.fromkeys(one.reach.key_file for one in wanted if _by_key(one)):
        yield Check("ssh", key or "key", partial(made.key, key))
    for name in house.settings.groups:
        mine = [one for one in wanted if one.group == name]
        visited = mine if targets else mine[:most]
        for one in visited:
            yield Check("instances", one.slot or one.id, partial(made.instance, one))
        if left := len(mine) - len(visited):
            point = Point("instances", name, Mark.NOTE, say.left_out(left, most), say.LEFT_OUT_HINT)
            yield Check("instances", name, partial(_told, point))


def _by_key(instance: Instance) -> bool:
    """Whether it is reached by a key that is there already."""
    reach = instance.reach
    return not (reach.root or reach.means or reach.admission)


class _Fleet:
    """What several checks share."""

    def __init__(self, house: WiredHouse, *, login: bool) -> None:
        self._house = house
        self._login = login

    def wanted(self, targets: Sequence[str]) -> Sequence[Instance]:
        """Everybody that can be found now, or those of them that ``targets`` name. Raises BadInput for another."""
        everybody: list[Instance] = []
        for group in self._house.groups.values():
            try:
                everybody += group.members()
            except DriftdError:
                continue  # the provider's own check says so
        chosen: dict[str, Instance] = {}
        for target in targets:
            found = [i for i in everybody if target in {i.id, i.slot, i.group, i.address, i.reach.host}]
            if not found:
                known = [name for i in everybody for name in (i.slot, i.id, i.group) if name]
                raise BadInput(f"nothing in the inventory is called {target!r}", near.hint(target, known))
            chosen.update({i.id: i for i in found})
        return list(chosen.values()) if targets else everybody

    def provider(self, name: str) -> Sequence[Point]:
        group, settings = self._house.groups[name], self._house.settings.groups[name]
        members = group.members()
        if not members:
            return [Point("providers", name, Mark.NOTE, say.empty(group.provider.name), say.EMPTY_HINT)]
        points = [Point("providers", name, Mark.GOOD, say.provider(group.provider.name, len(members)))]
        if settings.enforce is not Enforce.OBSERVE and (why := group.cannot_replace()):
            said = say.only_looks(why, settings.enforce)
            points.append(Point("providers", name, Mark.WRONG, said, say.ONLY_LOOKS_HINT))
        return points

    def credentials(self) -> Iterator[Check]:
        """Those of each group whose provider acts with some."""
        for name, group in self._house.groups.items():
            if isinstance(group.provider, Permissioned):
                yield Check("rights", name, partial(self.rights, name, group.provider))

    def rights(self, name: str, provider: Permissioned) -> Sequence[Point]:
        changing = self._house.settings.groups[name].enforce is not Enforce.OBSERVE
        return checkup.rights(name, provider.rights(name, changing=changing))

    def image(self, image: str) -> Sequence[Point]:
        if not image:
            return [Point("manifests", "unnamed", Mark.WRONG, say.NO_IMAGE, say.NO_IMAGE_HINT)]
        found = self._house.manifests.for_image(image)
        if isinstance(found, Unseen):
            return [Point("manifests", image, Mark.WRONG, found.reason, found.hint)]
        if found.seal is None:
            points = [Point("manifests", image, Mark.NOTE, say.UNSEALED, say.UNSEALED_HINT)]
        elif found.doubtful:
            points = [Point("manifests", image, Mark.NOTE, say.PROVISIONAL, say.PROVISIONAL_HINT)]
        else:
            points = [Point("manifests", image, Mark.GOOD, say.manifest(len(found.entries), found.seal.sequence))]
        if found.key_id and isinstance(key := self._house.keys.known(image, found.key_id), Unseen):
            points.append(Point("manifests", image, Mark.NOTE, say.no_digest_key(key.reason), key.hint))
        return points

    def key(self, file: str) -> Sequence[Point]:
        options = self._house.ssh_options
        try:
            if options.certificate is not None and not (file or options.key_file):
                authority(options.certificate)
                return [Point("ssh", options.certificate.ca, Mark.GOOD, say.CA_KEY)]
            with identity(file, options) as mine:
                said = say.LOGIN_KEY if file or options.key_file else say.AGENT_KEY
                return [Point("ssh", file or "agent", Mark.GOOD, f"{said} ({mine.fingerprint})")]
        except SshError as error:
            return [Point("ssh", file or "key", Mark.WRONG, str(error), error.hint)]

    def instance(self, instance: Instance) -> Sequence[Point]:
        name = instance.slot or instance.id
        if instance.state is not InstanceState.RUNNING:
            return [Point("instances", name, Mark.NOTE, not_running(instance.state), say.NOT_RUNNING_HINT)]
        if instance.reach.root:
            there = Path(instance.reach.root).is_dir()
            said = say.LOCAL if there else say.no_file("no such directory")
            return [Point("instances", name, Mark.GOOD if there else Mark.WRONG, said)]
        if instance.reach.means:
            return [Point("instances", name, Mark.NOTE, say.by_provider(instance.reach.means), say.BY_PROVIDER_HINT)]
        store = self._visits if self._login else None
        if store is None:
            return [self._knocked(name, instance)]
        with self._house.announced(instance, store) as visited:
            found = greet(visited, self._house.ssh_options, deadline_s=_GREETING_S)
        if isinstance(found, Unseen):
            return [Point("instances", name, Mark.WRONG, found.reason, found.hint)]
        return [checkup.greeted(name, found)]

    def _knocked(self, name: str, instance: Instance) -> Point:
        """Of an instance that nobody logs in to."""
        why = knock(instance, self._house.ssh_options, deadline_s=_GREETING_S)
        if why is not None:
            return Point("instances", name, Mark.WRONG, why.reason, why.hint)
        if self._login:
            return Point("instances", name, Mark.NOTE, say.NO_VISIT, say.NO_VISIT_HINT)
        return Point("instances", name, Mark.GOOD, say.NO_LOGIN)

    @cached_property
    def _visits(self) -> Store | None:
        """Where visits are announced; None where there is no store, since a checkup makes none."""
        if not Path(stores.path_of(self._house.store_url)).exists():
            return None
        with self._house.store(read_only=True):
            pass  # raises for one of an older driftd, which writing would bring up to date
        return stores.open_store(self._house.store_url)


def _told(point: Point) -> Sequence[Point]:
    """What is known already."""
    return [point]
