"""The command that starts the probe on an instance, and the sudoers line that allows it and nothing else.

sshd gives the command to the user's login shell, whatever that is. So it holds only what sh, csh and fish read alike:
words, and single-quoted strings without quotes, backslashes, exclamation marks and newlines.
"""

from __future__ import annotations

import hashlib

from driftd.core.errors import BadInput
from driftd.edges.ssh.options import SshOptions
from driftd.probe import bundle, collector

PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/usr/libexec/platform-python")
FLAGS = bundle.ARGUMENTS[:-1]
NO_PYTHON = collector.NO_PYTHON
OTHER_PROGRAM = collector.OTHER_PROGRAM
SHELL = "/bin/sh"
_UNQUOTABLE = frozenset("'\\!\n\r\0")
_PATH_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-")
_SUDOERS_SPECIAL = frozenset(",:=\\*?[]!#")


def quote(text: str) -> str:
    """``text`` as one word in any login shell. Raises ValueError for what no shell-neutral quoting can carry."""
    if _UNQUOTABLE & set(text):
        raise ValueError("a quote, backslash, exclamation mark or newline means something else in every shell")
    return f"'{text}'"


def boot(options: SshOptions) -> str:
    """What Python is started with. Pinned, it runs the program only if it is this version's, byte for byte."""
    if not options.pinned:
        return bundle.BOOT
    digest = hashlib.sha256(bundle.source()).hexdigest()
    # No strings in it: sudoers(5) cannot carry a double quote, and a shell's word no single one.
    return (
        "import sys,zlib,hashlib;s=sys.stdin.buffer;p=zlib.decompress(s.read(int(s.readline())));"
        f"int(hashlib.sha256(p).hexdigest(),16)==0x{digest} or sys.exit({OTHER_PROGRAM});exec(p)"
    )


def shell_boot(options: SshOptions) -> str:
    """What sh is started with on a host without Python (driftd/probe/collector.py)."""
    return collector.pinned_boot() if options.pinned else collector.BOOT


def command(user: str, options: SshOptions) -> str:
    """What to execute over SSH: the first Python found, isolated, running ``boot``; through sudo unless root.

    Without a Python it says ``NO_PYTHON`` and starts sh in its place, unless it is one Python that was asked for.

    Raises ``BadInput`` for a configured Python that is not a plain absolute path.
    """
    if options.python and not (options.python.startswith("/") and _PATH_CHARACTERS.issuperset(options.python)):
        raise BadInput(f"{options.python!r} is not the path of a Python", "write a plain absolute path")
    sudo = "sudo -n " if uses_sudo(user, options) else ""
    script = (
        # C, so that what sudo says can be understood.
        "LC_ALL=C; export LC_ALL; "
        f"for p in {options.python or ' '.join(PYTHONS)}; "
        f'do if [ -x $p ]; then exec {sudo}$p {" ".join(FLAGS)} "$0"; fi; done; '
        f"echo {NO_PYTHON} >&2; "
    )
    if options.python:
        return f"{SHELL} -c {quote(script + 'exit 127')} {quote(boot(options))}"
    script += f'exec {sudo}{SHELL} -c "$1"'
    return f"{SHELL} -c {quote(script)} {quote(boot(options))} {quote(shell_boot(options))}"


def uses_sudo(user: str, options: SshOptions) -> bool:
    """Whether the probe gets its rights from sudo."""
    return user != "root" and options.sudo


def sudoers_line(user: str, options: SshOptions, *, python: bool = True) -> str:
    """The narrowest line of sudoers(5) that lets ``user`` start the probe: this interpreter, these arguments."""
    start = f"{options.python or PYTHONS[0]} {' '.join(FLAGS)}" if python else f"{SHELL} -c"
    text = boot(options) if python else shell_boot(options)
    arguments = "".join("\\" + char if char in _SUDOERS_SPECIAL else char for char in text)
    return f"{user} ALL=(root) NOPASSWD: {start} {arguments}"
