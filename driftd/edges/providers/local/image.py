"""The golden image: a small Debian with SSH and a web application, made by mmdebstrap, cached by its recipe.

Two stages. The *base* (packages; 30 s, needs the network) is a tar file that is the same for the same packages, bit for
bit. The *image* (base, settings, init, application) is a directory with a content-derived id: ``web-<12 hex digits>``.
An ordinary user's image belongs to that user's subordinate ids and is kept apart from root's.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from driftd.edges.providers.local import debian
from driftd.edges.providers.local.debian import Recipe, default_cache
from driftd.edges.providers.local.tools import locked, read_json, write_json

__all__ = ["ImageInfo", "app", "default_cache", "ensure", "ensure_base", "find", "make"]

HERE = Path(__file__).parent
RECIPE = Recipe(("openssh-server", "python3-minimal", "iproute2", "procps", "rsyslog", "sudo"))
APP_PATH = "opt/web/app.py"
SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
LogLevel VERBOSE
UsePAM yes
UseDNS no
PasswordAuthentication no
"""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A built image: its id, as instances carry it, and its root directory. Never change what is in there."""

    id: str
    rootfs: Path


def ensure(cache: Path | None = None, *, release: str = "1", say: Callable[[str], None] | None = None) -> ImageInfo:
    """Build the image unless it is there. ``release`` is what the application says it is; another one, another image.

    Raises ``BadInput`` when this machine cannot build it and ``Unavailable`` when the packages cannot be had.
    """
    cache = cache or default_cache()
    return make(cache, ensure_base(cache, say=say), files(release), "web", finish)


def find(cache: Path, image_id: str) -> Path | None:
    """The root directory of an image by its id, if it was built here."""
    rootfs = cache / image_id / "rootfs"
    return rootfs if "/" not in image_id and not image_id.startswith(".") and rootfs.is_dir() else None


def ensure_base(cache: Path | None = None, *, say: Callable[[str], None] | None = None) -> Path:
    """The base tar. As an ordinary user call this outside of the user namespace: there is no network inside."""
    return debian.ensure_base(cache or default_cache(), RECIPE, say)


def files(release: str) -> dict[str, tuple[int, str]]:
    """What is put upon the base: path → (mode, text)."""
    return {
        APP_PATH: (0o644, app(release)),
        "sbin/instance-init": (0o755, (HERE / "data" / "instance-init").read_text(encoding="utf-8")),
        "etc/ssh/sshd_config.d/10-driftd-demo.conf": (0o644, SSHD),
        "etc/hosts": (0o644, "127.0.0.1 localhost\n"),
        "etc/hostname": (0o644, "localhost\n"),
        "etc/machine-id": (0o444, ""),
    }


def app(release: str) -> str:
    """The web application's text; ``release`` is what it says it is."""
    return (HERE / "web_app.py").read_text(encoding="utf-8").replace('VERSION = "1"', f"VERSION = {release!r}", 1)


def finish(rootfs: Path) -> None:
    """What files cannot say."""
    (rootfs / "data").mkdir(mode=0o755)
    (rootfs / "dev").mkdir(mode=0o755, exist_ok=True)
    # The kernel's messages are the host's, not the instance's.
    syslog = rootfs / "etc/rsyslog.conf"
    text = syslog.read_text(encoding="utf-8")
    syslog.write_text(text.replace('module(load="imklog")', '#module(load="imklog")'), encoding="utf-8")


def make(
    cache: Path,
    base: Path,
    files: Mapping[str, tuple[int, str]],
    prefix: str,
    finish: Callable[[Path], None],
    pack: Callable[[Path], None] = lambda _: None,
    packed_with: str = "",
) -> ImageInfo:
    """The image that a base and files make, from the cache or made now. Its id is ``prefix`` and a digest of both.

    ``finish`` does to the root directory what files cannot say. ``pack`` gets the image's directory, with ``rootfs`` in
    it whole, and puts beside it what an instance needs to start; ``packed_with`` is what that depends on besides.
    """
    made_of = (base.name, sorted(files.items()), *filter(None, [packed_with]))
    recipe = hashlib.sha256(repr(made_of).encode()).hexdigest()[:24]
    known = read_json(cache / f"recipe-{recipe}.json")
    if known is None or not (cache / known["id"] / "rootfs").is_dir():
        with locked(cache / "lock", timeout_s=300):
            work = cache / ".work"
            if work.exists():
                shutil.rmtree(work)
            rootfs = work / "rootfs"
            debian.unpack(base, rootfs)
            digest = hashlib.sha256(recipe.encode())
            # The same recipe on another day is another image.
            digest.update((rootfs / "var/lib/dpkg/status").read_bytes())
            debian.put(rootfs, files)
            finish(rootfs)
            debian.freeze(rootfs)
            pack(work)
            known = {"id": f"{prefix}-{digest.hexdigest()[:12]}", "base": base.name}
            write_json(work / "image.json", known)
            if not (cache / known["id"]).exists():
                work.rename(cache / known["id"])
            write_json(cache / f"recipe-{recipe}.json", known)
    return ImageInfo(known["id"], cache / known["id"] / "rootfs")
