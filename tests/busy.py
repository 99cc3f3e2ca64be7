"""A server with an ordinary day: the demo's image and nginx, cron and logrotate on it, all started at its boot.

``busy_image`` builds it once (a minute) into the cache of images; ``tests/e2e/test_ordinary_days.py`` drives it.
"""

from __future__ import annotations

from pathlib import Path

from driftd.edges.providers.local import debian, image
from driftd.edges.providers.local.debian import Recipe
from driftd.edges.providers.local.image import ImageInfo

RECIPE = Recipe((*image.RECIPE.packages, "cron", "logrotate", "nginx-light"))
STARTED = "nginx\ncron\n"
_BEFORE = "# PID 1 inherits orphans"


def busy_image(cache: Path) -> ImageInfo:
    """Beside the demo's application on port 8080, nginx serves files on port 80."""
    base = debian.ensure_base(cache, RECIPE, None)
    files = image.files("1")
    mode, init = files["sbin/instance-init"]
    files["sbin/instance-init"] = (mode, init.replace(_BEFORE, STARTED + _BEFORE, 1))
    return image.make(cache, base, files, "busy", image.finish)
