"""An image whose sshd asks for pushed keys, as the package ``ec2-instance-connect`` has it ask.

The real one's command asks the metadata service, which answers for a minute. Here the emulator's matter (behind.py)
keeps in the server's /run what the emulator says is good, by the emulator's own clock.
"""

from __future__ import annotations

from pathlib import Path

from behind import PUSHED

from driftd.edges.providers.local import image
from driftd.edges.providers.local.image import ImageInfo

COMMAND = "usr/share/ec2-instance-connect/eic_run_authorized_keys"
ASKS = f"""\
#!/bin/sh
[ -f "{PUSHED}/$1" ] && exec cat "{PUSHED}/$1"
exit 0
"""
SSHD = f"AuthorizedKeysCommand /{COMMAND} %u %f\nAuthorizedKeysCommandUser nobody\n"


def golden(cache: Path) -> ImageInfo:
    """Built once, then reused."""
    files = {
        **image.files("1"),
        COMMAND: (0o755, ASKS),
        "etc/ssh/sshd_config.d/60-ec2-instance-connect.conf": (0o644, SSHD),
    }
    return image.make(cache, image.ensure_base(cache), files, "web", image.finish)
