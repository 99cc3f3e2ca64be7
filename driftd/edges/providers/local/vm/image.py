"""The machine's golden image: Debian with its cloud kernel, systemd, journald, SSH and the web application.

Beside the root directory, from which a manifest is baked, lie the kernel, the initial RAM disk and the disk that every
instance has its changes on top of.

    python3 -m driftd.edges.providers.local.vm.image [CACHE]      build it unless it is there, and print its id
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from driftd.edges.providers.local import debian, image
from driftd.edges.providers.local.debian import Recipe
from driftd.edges.providers.local.image import ImageInfo
from driftd.edges.providers.local.vm import disk

DATA = Path(__file__).parent / "data"
DISK_MB = 1536
# A server that never changes looks for no updates by itself.
HOOK = (
    f"{debian.HOOK} && "
    'chroot "$1" systemctl --quiet enable systemd-networkd.service && '
    'chroot "$1" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer '
    "e2scrub_reap.service systemd-networkd-wait-online.service systemd-network-generator.service"
)
RECIPE = Recipe(
    (
        *("linux-image-cloud-amd64", "systemd-sysv", "dbus", "libpam-systemd", "udev", "kmod", "busybox-static"),
        *("openssh-server", "python3-minimal", "iproute2", "procps", "sudo", "cron", "nftables"),
    ),
    HOOK,
    {"INITRD": "No"},  # Debian's own initial RAM disk is neither needed nor reproducible
)


def ensure(cache: Path | None = None, *, release: str = "1", say: Callable[[str], None] | None = None) -> ImageInfo:
    """Build the image unless it is there; see ``local.image.ensure``. Takes one or two minutes, once."""
    cache = cache or debian.default_cache()
    base = debian.ensure_base(cache, RECIPE, say)
    packed_with = f"{DISK_MB} {disk.DRIVERS} {disk.INIT.read_text(encoding='utf-8')}"
    return image.make(cache, base, files(release), "vm", finish, pack, packed_with)


def pack(work: Path, *, size_mb: int = DISK_MB) -> None:
    """Put kernel, initial RAM disk and disk beside the directory ``rootfs`` in ``work``."""
    rootfs = work / "rootfs"
    shutil.copy(rootfs / f"boot/vmlinuz-{disk.release_of(rootfs)}", work / "kernel")
    disk.make_initrd(rootfs, work / "initrd")
    disk.make_disk(rootfs, work / "disk.ext4", size_mb)


def files(release: str) -> dict[str, tuple[int, str]]:
    """What is put upon the base: path → (mode, text)."""
    return {
        image.APP_PATH: (0o644, image.app(release)),
        "etc/systemd/system/web.service": (0o644, (DATA / "web.service").read_text(encoding="utf-8")),
        "etc/ssh/sshd_config.d/10-driftd-demo.conf": (0o644, image.SSHD),
        "etc/fstab": (0o644, "/dev/vda / ext4 defaults 0 0\n"),
        "etc/hosts": (0o644, "127.0.0.1 localhost\n"),
        "etc/hostname": (0o644, "localhost\n"),
        "etc/machine-id": (0o444, ""),
    }


def finish(rootfs: Path) -> None:
    """What files cannot say."""
    wants = rootfs / "etc/systemd/system/multi-user.target.wants"
    (wants / "web.service").symlink_to("/etc/systemd/system/web.service")
    (rootfs / "lost+found").mkdir(mode=0o700)
    (rootfs / "dev").mkdir(mode=0o755, exist_ok=True)


def main() -> None:
    """Build it for a person."""

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    sys.stdout.write(f"{ensure(Path(sys.argv[1]) if sys.argv[1:] else None, say=say).id}\n")


if __name__ == "__main__":
    main()
