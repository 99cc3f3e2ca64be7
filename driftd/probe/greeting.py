"""How an answer begins: who answers whom, when, and on which boot of which machine."""

import os
import sys
import time
from typing import Any, Dict

from driftd.probe import frames


def of(nonce, root):
    # type: (bytes, bytes) -> Dict[bytes, Any]
    """The HELLO of a look at ``root``, as far as it is cheap to know."""
    hello = {
        b"nonce": nonce,
        b"schema": frames.SCHEMA,
        b"clock": int(time.time()),
        b"uid": os.geteuid(),
        b"python": b"%d.%d.%d" % sys.version_info[:3],
    }
    if root == b"/":
        hello[b"live"] = 1
        # Instances may be namespaces on one kernel: its id is theirs too, and the start of PID 1 tells them apart.
        try:
            with open("/proc/sys/kernel/random/boot_id", "rb") as stream:
                boot = stream.read(64).strip()
            with open("/proc/1/stat", "rb") as stream:
                hello[b"boot_id"] = boot + b"/" + stream.read().rpartition(b")")[2].split()[19]
        except (OSError, IndexError):
            pass
    return hello
