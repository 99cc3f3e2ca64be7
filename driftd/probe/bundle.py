"""The probe as one program: the text that is sent to an instance, and the words that start it there.

The instance's Python is started with ``BOOT``, reads ``program()`` from its standard input (a line with the length,
then so many bytes), and after it one request (``wire.encode_request``). It answers on its standard output
(docs/wire.md). Nothing is written on the instance.

This module is the only one here that stays at home.
"""

import ast
import functools
import importlib.resources
import zlib

MODULES = (
    "bencode",
    "wire",
    "mounts",
    "tally",
    "hashing",
    "attributes",
    "walk",
    "links",
    "tree",
    "stats",
    "statwalk",
    "inside",
    "tools",
    "secretwords",
    "found",
    "files",
    "accounts",
    "rpmdb",
    "packages",
    "sudoers",
    "sshd",
    "keys",
    "logins",
    "cron",
    "unitfiles",
    "units",
    "system",
    "dropins",
    "kernel",
    "modules",
    "sysctl",
    "mounted",
    "snapshot",
    "listeners",
    "programs",
    "preload",
    "bpf",
    "running",
    "firewall",
    "binfmt",
    "containers",
    "facts",
    "sshlog",
    "processes",
    "wtmp",
    "sessions",
    "redactjson",
    "redact",
    "compiled",
    "dialogue",
    "asks",
    "look",
)

# What python's -c is given. Free of , : = \ and of globs, which a sudoers file would want escaped.
BOOT = "import sys;import zlib;exec(zlib.decompress(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))))"

# Isolated, without site-packages, without writing bytecode.
ARGUMENTS = ("-I", "-S", "-B", "-c", BOOT)

_OPENING = """\
import sys
import types

def _module(name, text):
    module = types.ModuleType(name)
    sys.modules[name] = module
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules[above], last, module)
    exec(compile(text, name, "exec", 0, True), module.__dict__)

_module("driftd", "")
_module("driftd.probe", "")
"""

_CLOSING = """\
sys.modules["driftd.probe.look"].main(sys.stdin.buffer, sys.stdout.buffer)
"""


def _bare(text):
    # type: (str) -> str
    """A module without what only its readers need: comments and docstrings are a third of what would be sent."""
    tree = ast.parse(text)
    for part in ast.walk(tree):
        if isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(part) is not None:
            part.body[:1] = [] if part.body[1:] else [ast.Pass()]
    return ast.unparse(tree)


@functools.lru_cache(maxsize=1)
def source():
    # type: () -> bytes
    """The whole program as Python source: each module is made in memory under its own name."""
    here = importlib.resources.files("driftd.probe")
    parts = [_OPENING]
    for name in MODULES:
        text = _bare(here.joinpath(name + ".py").read_text(encoding="utf-8"))
        parts.append("_module(%r, %r)\n" % ("driftd.probe." + name, text))
    parts.append(_CLOSING)
    return "".join(parts).encode("utf-8")


@functools.lru_cache(maxsize=1)
def program():
    # type: () -> bytes
    """What to write to the started Python before the request: the compressed program behind a line with its length."""
    packed = zlib.compress(source(), 9)
    return b"%d\n" % len(packed) + packed
