"""Look at a local root: a directory that holds a server's tree, or this machine itself ("/").

The probe runs as a process of its own, so that a deadline can end it. It is spoken to as on any instance, but its
modules are imported from where they are installed: nothing has to be sent, or compiled anew for each look.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.core.talk import Talk
from driftd.probe import bundle, dialogue, wire

# As on an instance: isolated, without site-packages, and without writing bytecode.
FLAGS = bundle.ARGUMENTS[:-1]
_PIECE = 256 * 1024
# What Python's -c is given; the directory that holds this package comes after it.
_START = (
    "import sys;sys.path.insert(0,sys.argv[1]);"
    "from driftd.probe import look;look.main(sys.stdin.buffer,sys.stdout.buffer)"
)
_HOME = str(Path(bundle.__file__).parents[2])


class LocalLooker:
    """Sees instances whose ``reach.root`` names a directory on this machine; sessions only where that is "/"."""

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        root = instance.reach.root
        if not Path(root).is_dir():
            return Unseen(f"there is no directory {root!r} to look at", "see that the root given is right")
        nonce = secrets.token_bytes(16)
        sections = (wire.SECTIONS if root == "/" else (b"facts",)) + ((dialogue.SECTION,) if ask else ())
        request = wire.encode_request(
            nonce, os.fsencode(Path(root).absolute()), sections=sections, key=key.secret if key else b""
        )
        try:
            talk = Talk(Reader(nonce, sections, image=image), ask, secrets.token_bytes(16))
            return converse([sys.executable, *FLAGS, _START, _HOME], request, talk, deadline_s)
        except OSError as error:
            return Unseen(f"the probe could not be started: {error.strerror}", "see that Python can be run here")

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """No key: nobody has to get in."""
        return ""


def converse(command: Sequence[str], question: bytes, talk: Talk, deadline_s: float) -> Fingerprint | Unseen:
    """Start a program that answers as the probe does, and hold one talk with it, within the deadline.

    Raises OSError when it cannot be started.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(deadline_s, end)
        timer.start()
        try:
            _exchange(child, question, talk)
        finally:
            timer.cancel()
            child.kill()
        if late.is_set() and not talk.over:
            return Unseen(
                f"looking took longer than {deadline_s:g} s", "give it more time, or look when it is less busy"
            )
    return talk.finish()


def _exchange(child: subprocess.Popen[bytes], question: bytes, talk: Talk) -> None:
    if child.stdin is None or child.stdout is None:
        return
    try:
        while True:
            child.stdin.write(question)
            child.stdin.flush()
            question = b""
            while not question and not talk.over:
                data = os.read(child.stdout.fileno(), _PIECE)
                if not data:
                    return
                question = talk.feed(data)
            if talk.over:
                return
    except BrokenPipeError:
        # It ended; that nothing more came says so. What is left of the question would be written once more at the end.
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
