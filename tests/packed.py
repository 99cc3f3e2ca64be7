"""A server with a web server, a data server, cron, logrotate and cloud-init from Debian's packages.

``packed_image`` builds it once (a minute or two) into the cache of images; ``test_packs_for_real.py`` and
``test_ordinary_days.py`` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from driftd.edges.providers.local import debian, image
from driftd.edges.providers.local.debian import Recipe
from driftd.edges.providers.local.image import ImageInfo

RECIPE = Recipe((*image.RECIPE.packages, "cron", "logrotate", "nginx-light", "postgresql", "cloud-init"))
STARTED = "cron\nnginx\npg_ctlcluster 15 main start\n"
_BEFORE = "# PID 1 inherits orphans"
SEED = "var/lib/cloud/seed/nocloud/"
# The keys that the provider vouches for stay, and nothing is asked of a network that is not there.
CLOUD = """\
datasource_list: [NoCloud]
ssh_deletekeys: false
manage_etc_hosts: true
ntp: {enabled: false}
locale: false
"""
FILES = {
    "etc/cloud/cloud.cfg.d/95-test.cfg": (0o644, CLOUD),
    SEED + "meta-data": (0o644, "instance-id: i-0packed\nlocal-hostname: packed-1\n"),
    SEED + "user-data": (0o644, "#cloud-config\npackage_update: false\n"),
}


def packed_image(cache: Path, say: Callable[[str], None] | None = None) -> ImageInfo:
    """Beside the demo's application on port 8080, nginx on port 80, PostgreSQL and cron; cloud-init has not run."""
    base = debian.ensure_base(cache, RECIPE, say)
    files = {**image.files("1"), **FILES}
    mode, init = files["sbin/instance-init"]
    files["sbin/instance-init"] = (mode, init.replace(_BEFORE, STARTED + _BEFORE, 1))
    return image.make(cache, base, files, "packed", finish, packed_with="without its own certificate")


def finish(rootfs: Path) -> None:
    """Without the key that Debian's ssl-cert makes when it is installed: in an image it would be everybody's."""
    image.finish(rootfs)
    (rootfs / "etc/ssl/private/ssl-cert-snakeoil.key").unlink()
    settings = rootfs / "etc/postgresql/15/main/postgresql.conf"
    settings.write_text(settings.read_text(encoding="utf-8").replace("\nssl = on\n", "\nssl = off\n"), encoding="utf-8")
