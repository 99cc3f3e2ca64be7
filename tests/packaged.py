"""driftd's Debian package, built from here, and Debian systems that it is installed in.


The systems (a root directory, a machine's disk) are the guest of local-vm with a whole Python, which the package needs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from driftd import __version__
from driftd.edges.documents import make_keys
from driftd.edges.providers.local import debian, image
from driftd.edges.providers.local.image import ImageInfo
from driftd.edges.providers.local.vm import image as vm_image

REPO = Path(__file__).parent.parent
RECIPE = replace(vm_image.RECIPE, packages=(*vm_image.RECIPE.packages, "python3"))
# What dpkg's scripts expect of a system that does not run. It is gone with the mount namespace.
ENTER = """\
set -e
mount -t proc proc "$0/proc"
mkdir -p "$0/dev"
mount -t tmpfs -o mode=755 dev "$0/dev"
for one in null zero random urandom; do : >"$0/dev/$one"; mount --bind "/dev/$one" "$0/dev/$one"; done
mount -t tmpfs -o mode=755 run "$0/run"
exec chroot "$0" sh -ec "$1"
"""


def ensure_base(cache: Path, say: Callable[[str], None] | None = None) -> Path:
    """The packages of such a system; built once, which takes one or two minutes."""
    return debian.ensure_base(cache, RECIPE, say)


def built(folder: Path) -> Path:
    """The package, in ``folder``."""
    words = [sys.executable, REPO / "scripts/deb.py", "--quick", "--output", folder]
    # As old as whatever an image is made of: a compiled module belongs to the time of its source.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": debian.EPOCH}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def newer(package: Path, release: str) -> Path:
    """The same package as a later version of driftd, beside it: its program says so, too."""
    work = package.parent / "newer"
    subprocess.run(["dpkg-deb", "--raw-extract", package, work], check=True)
    for path in (work / "DEBIAN/control", next(work.glob("usr/lib/driftd/lib/*/site-packages/driftd/__init__.py"))):
        path.write_text(path.read_text().replace(__version__, release))
    made = package.parent / f"driftd_{release}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", work, made], check=True)
    shutil.rmtree(work)
    return made


def enter(rootfs: Path, script: str) -> str:
    """What a shell script says, run by root inside of a system that does not run; errors are said, too."""
    words = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", ENTER, str(rootfs), script]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(rootfs: Path, package: Path) -> str:
    """Install it as a person does; what dpkg says."""
    (rootfs / "tmp" / package.name).write_bytes(package.read_bytes())
    name = shlex.quote(f"/tmp/{package.name}")
    return enter(rootfs, f"dpkg -i {name}; rm {name}")


def machine_image(work: Path, base: Path, package: Path, finish: Callable[[Path], None]) -> ImageInfo:
    """A machine's image in the directory ``work``, with the package installed; ``finish`` sets it up."""

    def whole(rootfs: Path) -> None:
        vm_image.finish(rootfs)
        install(rootfs, package)
        finish(rootfs)

    work.mkdir(exist_ok=True)
    return image.make(work, base, vm_image.files("1"), "packaged", whole, vm_image.pack)


CONFIG = """\
store: sqlite:////var/lib/driftd/driftd.db
manifests: /etc/driftd/manifests
keys: /var/lib/driftd/keys
pause_file: /run/driftd/pause
trust: {manifest_keys: [/etc/driftd/release.pub], signing_key: "credential:signing_key"}
ssh: {user: nobody, key: "credential:ssh_key", known_hosts: /etc/driftd/known_hosts}
groups:
  web: {provider: static, hosts: ["127.0.0.1:1"], image: none, every: 5s}
"""


def configure(rootfs: Path) -> None:
    """The daemon, set up as docs/service.md says: it looks at a host that does not answer, and signs its journal."""
    etc = rootfs / "etc/driftd"
    (etc / "driftd.yaml").write_text(CONFIG)
    make_keys(etc / "release")
    (etc / "release").rename(etc / "credentials/signing_key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / "credentials/ssh_key"], check=True)
    dropin = rootfs / "etc/systemd/system/driftd.service.d"
    dropin.mkdir()
    (dropin / "sooner.conf").write_text("[Service]\nWatchdogSec=40s\nRestartSec=1s\n")
    enter(rootfs, "systemctl --quiet enable driftd")
