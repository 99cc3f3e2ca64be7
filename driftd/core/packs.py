"""Packs: policy documents, and which of them an image calls for by what its manifest contains."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driftd.core.globs import Glob
from driftd.core.rules import Rule
from driftd.core.showable import Show

if TYPE_CHECKING:  # a manifest's entries have classes, which come from packs
    from driftd.core.manifest import Manifest

# A system is known by a package that it alone has, as a manifest holds no contents, os-release's neither.
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "almalinux": ("almalinux-release",),
    "amazon-linux-2023": ("amazon-linux-repo-cdn", "amazon-linux-repo-s3"),
    "centos-stream": ("centos-stream-release",),
    "debian": ("debian-archive-keyring",),
    "fedora": ("fedora-release-common",),
    "oracle-linux": ("oraclelinux-release",),
    "rhel": ("redhat-release",),
    "rocky-linux": ("rocky-release",),
    "ubuntu": ("ubuntu-keyring",),
}
# What ``auto`` asks first: what is about one service, then what is about a platform, then what is about the system.
LAYERS = ("service", "platform", "system")
# What judges where no policy was chosen.
DEFAULT = ("auto", "sessions")


@dataclass(frozen=True, slots=True)
class When:
    """What an image must contain for a pack to be called for: of each list that is not empty, at least one.

    ``packages`` are names without the architecture, ``paths`` what lies in its tree, ``os`` are of SYSTEMS.
    """

    packages: tuple[Glob, ...] = ()
    paths: tuple[Glob, ...] = ()
    os: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packages or self.paths or self.os)

    def holds(self, manifest: Manifest) -> bool:
        """Whether ``manifest`` contains all this."""
        return (
            (not self.os or any(system in self.os for system in _systems(manifest.packages)))
            and (not self.packages or any(_installed(glob, manifest.packages) for glob in self.packages))
            and (not self.paths or any(_there(glob, manifest) for glob in self.paths))
        )


@dataclass(frozen=True, slots=True)
class Pack:
    """One policy document. ``offered`` says that it applies only to images for which ``when`` holds.

    One that a group names itself applies always. ``own`` says that it is the group's own document, and not shipped.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    shows: tuple[Show, ...] = ()
    when: When = When()
    layer: str = LAYERS[0]
    offered: bool = False
    own: bool = False


def systems(manifest: Manifest) -> frozenset[str]:
    """The systems that ``manifest`` is of, by its packages: none, one, or (where it is built so) several."""
    return _systems(manifest.packages)


def _systems(installed: frozenset[bytes]) -> frozenset[str]:
    return frozenset(name for name, packages in SYSTEMS.items() if any(one.encode() in installed for one in packages))


def _installed(glob: Glob, packages: frozenset[bytes]) -> bool:
    word = glob.names[0]
    if glob.plain and word is not None:
        return word.literal in packages
    return any(glob.matches(name) for name in packages)


def _there(glob: Glob, manifest: Manifest) -> bool:
    entries = manifest.entries
    if not glob.plain:
        return any(glob.matches(entry.path) for entry in entries)
    wanted = b"/" + b"/".join(name.literal for name in glob.names if name is not None)
    at = bisect_left(entries, wanted, key=lambda entry: entry.path)
    return at < len(entries) and entries[at].path == wanted
