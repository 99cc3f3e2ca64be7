"""How this deployment bakes. Every bake goes through ``Baking.made``, whatever it reads, and is written by ``bake``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core import identity, manifesttext, sidecar, wording
from driftd.core.asides import SnapshotReading
from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Reach
from driftd.core.ports import Looker
from driftd.core.wording import evidenced
from driftd.core.wording import trust as said
from driftd.doors.cli.files import write
from driftd.doors.desks.baking import AUTO, Baked, Source, Tell, quiet
from driftd.edges import documents
from driftd.edges.images.looker import UNPACKED_LIMIT, ImageLooker
from driftd.edges.images.program import DISK, OCI, Spec
from driftd.edges.local import converse
from driftd.flows.bake import bake_showing
from driftd.flows.groups import Group

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

DEADLINE_S = 1800.0
LARGEST = 4 << 40  # bytes that a disk may have; what is not on it takes no room here


class Baking:
    """Implements ``driftd.doors.desks.baking.BakeDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def bake(
        self,
        source: Source,
        image: str,
        output: Path,
        *,
        policy: Sequence[str] = AUTO,
        sign_with: Path | None = None,
        tell: Tell = quiet,
    ) -> Baked:
        if sign_with is not None:
            documents.load_signing(sign_with)  # before all else: what is baked and cannot be signed is of no use
        what = source.root or source.host or source.oci or source.disk or source.snapshot
        tell(f"reading {what or 'nothing'}")
        made = self.made(source, image, policy)
        tell(f"writing {output}")
        write(output, made.text)
        beside = documents.files_beside(output).sidecar
        if made.sidecar:
            write(beside, made.sidecar)
        else:
            beside.unlink(missing_ok=True)  # of an earlier bake
        if sign_with is None and not self._house.settings.trust.signing_key:
            return made
        tell(f"signing {output}")
        # Last: the signature covers everything that lies beside it.
        signed = self._house.trust().sign(output, [sign_with] if sign_with else ())
        return replace(made, notes=(*made.notes, said.signed(str(signed.file), signed.keys, signed.sequence)))

    def made(self, source: Source, image: str, policy: Sequence[str] = AUTO) -> Baked:
        classing = documents.load_policy(policy, Path()) if policy else None
        with self._opened(source, image) as (looker, instance):
            # Not for a source that is not there, nor where others may read what is sent.
            key = None if instance.reach.means else self._house.keys.made(image)
            provisional = bool(source.host)
            made, texts = bake_showing(
                looker,
                instance,
                image,
                self._house.explaining().shows(),
                classing,
                provisional=provisional,
                # Of a disk nothing is left out but what another disk or kind of file system has, and it is said.
                partial=source.disk is not None or bool(source.snapshot),
                key=key,
                deadline_s=DEADLINE_S,
            )
        notes = looker.notes if isinstance(looker, ImageLooker) else ()
        if not made.live and (own := identity.unclean(made)):
            notes = (*notes, evidenced.identities_baked([wording.shown(path) for path in sorted(own)]))
        return Baked(manifesttext.encode(made), provisional, notes, sidecar.encode(texts) if texts.files else b"")

    @contextmanager
    def _opened(self, source: Source, image: str) -> Iterator[tuple[Looker, Instance]]:
        """Who looks at ``source``, and as which instance; whatever that takes is given back."""
        _check(source)
        if source.root is not None:
            yield self._house.looker, tree(source.root, image)
            return
        if file := source.oci or source.disk:
            if not file.exists():
                raise BadInput(f"there is no image {str(file)!r}", "see that its name is right")
            yield ImageLooker(_spec(source, file), converse), Instance(id=str(file), group="", image=image)
            return
        if source.snapshot:
            reading = snapshots_of(self._house.groups.values())
            with self._house.room() as room:
                reading.read_snapshot(source.snapshot, room / "disk.raw", LARGEST)
                looker = ImageLooker(_spec(source, room / "disk.raw"), converse, room=room)
                yield looker, Instance(id=source.snapshot, group="", image=image)
            return
        instance = self._house.host(source.host)
        with self._house.store() as store, self._house.announced(instance, store) as visited:
            yield self._house.looker, visited


def _check(source: Source) -> None:
    """Raise BadInput for what does not go together."""
    given = [one for one in (source.root, source.host, source.oci, source.disk, source.snapshot) if one]
    if len(given) != 1:
        what = "give one of --root DIR, --host TARGET, --oci FILE, --disk FILE, --snapshot NAME"
        raise BadInput("bake reads one thing", what)
    disk = source.disk or source.snapshot
    for flag, value, kind, used in (
        ("--platform", source.platform, "--oci", source.oci),
        ("--partition", source.partition, "--disk and --snapshot", disk),
        ("--replay-journal", source.replay_journal, "--disk and --snapshot", disk),
        ("--unpacked-limit", source.unpacked_limit, "--oci, --disk and --snapshot", source.oci or disk),
    ):
        if value and not used:
            raise BadInput(f"{flag} is for {kind}, and something else is read here", f"leave {flag} out")


def snapshots_of(groups: Iterable[Group]) -> SnapshotReading:
    """The provider that reads snapshots. Raises BadInput where there is none, or more than one."""
    found = {id(one.provider): one.provider for one in groups if isinstance(one.provider, SnapshotReading)}
    if len(found) == 1:
        (only,) = found.values()
        return only
    if found:
        raise BadInput("more than one provider of the configuration reads snapshots", "bake with one that names one")
    raise BadInput("no provider of the configuration reads snapshots", "aws does (docs/aws.md); else bake --disk FILE")


def _spec(source: Source, file: Path) -> Spec:
    kind, limit = (OCI if source.oci else DISK), source.unpacked_limit or UNPACKED_LIMIT
    return Spec(kind, str(file.absolute()), "", limit, source.platform, source.partition, source.replay_journal)


def tree(root: Path, image: str) -> Instance:
    """A directory that holds a server's tree, as an instance of ``image``. Raises BadInput where there is none."""
    if not root.is_dir():
        raise BadInput(f"there is no directory {str(root)!r} to look at", "see that its name is right")
    return Instance(id=str(root), group="", image=image, reach=Reach(root=str(root)))
