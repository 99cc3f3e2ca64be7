"""The collector for hosts without Python: one text for a POSIX sh, and the words that start it there.

``BOOT`` is what ``sh -c`` is given. It says ``NO_PYTHON``, passes over what was sent for Python, and after a line
``MARK`` reads a line with a length and so many bytes of text, which it runs; the text reads a request
(``wire.encode_request``) and answers as the probe does (docs/wire.md). Its sources are in the directory ``shell``.

Like bundle.py, this module stays at home.
"""

import functools
import hashlib
import importlib.resources

from driftd.probe import mounts, wire

NO_PYTHON = "driftd: no python here"
MARK = "driftd-sh"
OTHER_PROGRAM = 77  # the exit status of a pinned start that was given another text

# Where the tools are; a login's own PATH has no say.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# What needs Python there, kinds of facts and the dialogue after the tree; each is reported as not available.
KINDS = (
    "asks at binfmt bpf container cron firewall hostkey kernel key listener module mount nss pam preload process sshd "
    "sudo sysctl unit"
)

# Without quotes, backslashes, exclamation marks and newlines, as command.py needs it. With an empty IFS and without
# patterns, what is not quoted stays whole.
_READ = (
    f"echo {NO_PYTHON} >&2;IFS=;set -f;while read -r n;do case $n in {MARK})break;;esac;done;"
    "read -r n;p=$(dd bs=1 count=$n 2>/dev/null);"
)
BOOT = _READ + "eval $p"

_SHELL = {"BATCH": "batch.sh"}
_AWK = {
    "BYTES": "bytes.awk",
    "TREE": "tree.awk",
    "MOUNTS": "mounts.awk",
    "REQUEST": "request.awk",
    "LINKS": "links.awk",
    "LISTS": "lists.awk",
    "FACTS": "facts.awk",
}


def pinned_boot():
    # type: () -> str
    """``BOOT`` that runs the text only if it is this version's, byte for byte."""
    digest = hashlib.sha256(source()).hexdigest()
    return _READ + "case $(printf %%s $p|sha256sum) in %s*)eval $p;;*)exit %d;;esac" % (digest, OTHER_PROGRAM)


def _text(name):
    # type: (str) -> str
    """A source without its comments and empty lines."""
    lines = importlib.resources.files("driftd.probe").joinpath("shell", name).read_text("ascii").split("\n")
    return "\n".join(line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _quoted(text):
    # type: (str) -> str
    return "'" + text.replace("'", "'\\''") + "'"


@functools.lru_cache(maxsize=1)
def source():
    # type: () -> bytes
    """The whole text."""
    text = _text("collector.sh").replace("@facts.sh@", _text("facts.sh"))
    for word, name in sorted({**_AWK, **_SHELL}.items()):
        text = text.replace("=@%s@" % word, "=" + _quoted(_text(name) + "\n"))
    words = {
        "PATH": PATH,
        "KINDS": KINDS,
        "PERSISTENT": b" ".join(sorted(mounts.PERSISTENT)).decode("ascii"),
        "IN_KERNEL": b" ".join(sorted(mounts.IN_KERNEL)).decode("ascii"),
        "MAGIC": "".join("\\%03o" % byte for byte in wire.MAGIC),
        "SCHEMA": "%d" % wire.SCHEMA,
    }
    for word, value in words.items():
        text = text.replace("@%s@" % word, value)
    return text.encode("ascii")


def program():
    # type: () -> bytes
    """What to send once the start has said ``NO_PYTHON``, before the request: the mark, the length, the text."""
    return b"\n%s\n%d\n" % (MARK.encode("ascii"), len(source())) + source()
