"""The command that starts the probe on an instance, and the sudoers line that allows it and nothing else.

sshd gives the command to the user's login shell, whatever that is. So it holds only what sh, csh and fish read alike:
words, and single-quoted strings without quotes, backslashes, exclamation marks and newlines.
"""

from __future__ import annotations

from driftd.core.errors import BadInput
from driftd.edges.ssh.options import SshOptions

PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/usr/libexec/platform-python")
FLAGS = ("-I", "-S", "-B", "-c")
NO_PYTHON = b"driftd: no python here"
_UNQUOTABLE = frozenset("'\\!\n\r\0")
_SUDOERS_SPECIAL = frozenset(',:=\\*?[]!#"')


def quote(text: str) -> str:
    """``text`` as one word in any login shell. Raises ValueError for what no shell-neutral quoting can carry."""
    if _UNQUOTABLE & set(text):
        raise ValueError("a quote, backslash, exclamation mark or newline means something else in every shell")
    return f"'{text}'"


def command(boot: str, user: str, options: SshOptions) -> str:
    """What to execute over SSH: the first Python found, isolated, running ``boot``; through sudo unless root."""
    sudo = "sudo -n " if user != "root" and options.sudo else ""
    pythons = " ".join((options.python,) if options.python else PYTHONS)
    if _UNQUOTABLE & set(pythons) or set(pythons) & set('"$`;&|<>()*?[]{}~'):
        raise BadInput(f"{options.python!r} is not a plain path of a Python", "write its absolute path")
    script = (
        "LC_ALL=C; export LC_ALL; "
        f'for p in {pythons}; do if [ -x $p ]; then exec {sudo}$p {" ".join(FLAGS)} "$0"; fi; done; '
        f"echo {NO_PYTHON.decode()} >&2; exit 127"
    )
    return f"/bin/sh -c {quote(script)} {quote(boot)}"


def sudoers_line(boot: str, user: str, python: str = PYTHONS[0]) -> str:
    """The narrowest line of sudoers(5) that lets ``user`` start the probe: this interpreter, these arguments."""
    arguments = "".join("\\" + char if char in _SUDOERS_SPECIAL else char for char in boot)
    return f"{user} ALL=(root) NOPASSWD: {python} {' '.join(FLAGS)} {arguments}"
