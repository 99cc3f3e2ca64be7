"""``driftd run`` that ends itself with SIGKILL at one exact point: ``crashing_daemon.py CONFIG POINT``.

POINT is ``before:VERB`` or ``after:VERB`` (around the provider's call), or ``into:STATE`` or ``in:STATE`` (around the
write of that state). It happens once: the file CONFIG.crashed says that it did.
"""

import os
import signal
import sys
from pathlib import Path

from driftd.doors import daemon
from driftd.flows import replace
from driftd.settings import load
from driftd.wiring.house import WiredHouse

config, point = Path(sys.argv[1]), sys.argv[2]
mark = Path(f"{config}.crashed")


def crash(here: str) -> None:
    if here == point and not mark.exists():
        mark.write_text(here)
        os.kill(os.getpid(), signal.SIGKILL)


make, write_move = replace._make, replace._write_move


def crashing_make(call, group, world):
    crash(f"before:{call.verb}")
    made = make(call, group, world)
    crash(f"after:{call.verb}")
    return made


def crashing_move(tx, record, answer, now):
    crash(f"into:{answer.state}")
    write_move(tx, record, answer, now)


step = replace.Replacer._step


def crashing_step(self, before, group, said):
    crash(f"in:{before.state}")
    return step(self, before, group, said)


replace._make, replace._write_move, replace.Replacer._step = crashing_make, crashing_move, crashing_step
daemon.serve(WiredHouse(load(config), config).engine())
