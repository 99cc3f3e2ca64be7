"""The probe as one program: the text that is sent to an instance, and the words that start it there.

The instance's Python is started with ``BOOT``, reads ``program()`` from its standard input (a line with the length,
then so many bytes), and after it one request (``wire.encode_request``). It answers on its standard output
(docs/wire.md). Nothing is written on the instance.

This module is the only one here that stays at home.
"""

import ast
import functools
import importlib.resources
import re
import string
import threading
import zlib
from typing import Callable, Iterable, List

# What says "same", and takes in the rest; what reads entries anew; and all else. Each after what it imports.
GLANCE = (
    "bencode",
    "waiting",
    "frames",
    "mounts",
    "tally",
    "opening",
    "places",
    "ways",
    "stats",
    "statwalk",
    "deadline",
    "greeting",
    "glance",
)
READING = (
    "wire",
    "hashing",
    "attributes",
    "names",
    "walk",
    "links",
    "telling",
    "overlap",
    "due",
    "reading",
)
REST = (
    "rows",
    "crew",
    "fullwalk",
    "tree",
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
    "writers",
    "sshlog",
    "processes",
    "wtmp",
    "clues",
    "pamlog",
    "sweep",
    "logind",
    "lastlogins",
    "auditlog",
    "residue",
    "sessions",
    "redactjson",
    "redact",
    "compiled",
    "dialogue",
    "trails",
    "copying",
    "roster",
    "asks",
    "look",
    "serving",
)
MODULES = GLANCE + READING + REST

# What python's -c is given. Free of , : = \ and of globs, which a sudoers file would want escaped.
BOOT = "import sys;import zlib;exec(zlib.decompress(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))))"

# Isolated, without site-packages, without writing bytecode.
ARGUMENTS = ("-I", "-S", "-B", "-c", BOOT)

# A module is compiled when something in it is wanted for the first time: most of a look needs few of them. Their texts
# stand in one raw string, as they are: what is escaped is longer, and longer to read.
_OPENING = """\
import sys
import types

_texts = {}

class _Module(types.ModuleType):
    def __getattr__(self, name):
        text = _texts.pop(self.__name__, None)
        if text is None:
            raise AttributeError(name)
        exec(compile(text, self.__name__, "exec", 0, True), self.__dict__)
        return getattr(self, name)

def _modules(texts):
    for text in texts.split(chr(12)):
        name, _, text = text.partition(chr(10))
        module = sys.modules[name] = _Module(name)
        _texts[name] = text
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)

"""

_CLOSING = """\
sys.modules["driftd.probe.look"].main(sys.stdin.buffer, sys.stdout.buffer)
"""

_GLANCE_CLOSING = """\
sys.modules["driftd.probe.glance"].main(sys.stdin.buffer, sys.stdout.buffer)
"""

# A module says what it answers when it is compiled, and that it is when something in it is wanted.
_ANSWERS = """\
sys.modules["driftd.probe.%s"].ANSWERS
"""

# A way in that takes only so much at once (Systems Manager: 64 KB, in base64) has a part of the program for each
# question. These are what the modules of a part begin from; ``look`` comes along without the rest of what it imports.
ERRANDS = {
    b"Q": ("tree", "sessions", "sweep", "telling", "greeting", "links", "found", "deadline"),
    b"F": ("facts", "processes", "telling", "greeting", "links", "deadline"),
    b"A": ("asks", "dialogue", "wire", "tally", "found", "links", "deadline"),
}
_ERRAND = ("look", "errand")

_ERRAND_CLOSING = """\
sys.modules["driftd.probe.errand"].main(sys.stdin.buffer, sys.stdout.buffer)
"""

RESIDENT = ("glimpse", "limits", "newcomers", "notices", "watch", "watchwire")  # what only a resident probe has need of

# A resident probe is to be small. So the texts are compiled by a child, which takes what that needed of memory with it,
# and OpenSSL, of which only SHA-256 would be used, is left out: Python has one of its own.
_RESIDENT_OPENING = """\
import marshal
import os
import sys
import types

sys.modules["_hashlib"] = None

def _compiled(texts):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            data = marshal.dumps([(name, compile(text, name, "exec", 0, True)) for name, text in texts])
            while data:
                data = data[os.write(writer, data):]
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    return marshal.loads(data)

def _modules(texts):
    for name, code in _compiled(texts):
        module = types.ModuleType(name)
        sys.modules[name] = module
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)
        exec(code, module.__dict__)

"""

_RESIDENT_CLOSING = """\
sys.modules["driftd.probe.watch"].main(sys.stdin.buffer, sys.stdout.buffer)
"""


_MAKING = threading.RLock()
_SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Global, ast.Nonlocal)


def _once(make):
    # type: (Callable[[], bytes]) -> Callable[[], bytes]
    """Made once, by one thread: CPython's parser of trees fails when several use it (SystemError; gh-106905)."""
    made = functools.lru_cache(maxsize=1)(make)

    @functools.wraps(make)
    def one_at_a_time():
        # type: () -> bytes
        with _MAKING:
            return made()

    return one_at_a_time


def _parts(top):
    # type: (ast.AST) -> List[ast.AST]
    """What ``ast.walk`` gives, in its order, in a third of its time: a process that looks once waits for this."""
    found = [top]
    for part in found:  # it grows meanwhile
        for value in part.__dict__.values():
            if isinstance(value, list):
                found.extend([one for one in value if isinstance(one, ast.AST)])
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found


def _bare(text):
    # type: (str) -> str
    """A module without what only its readers need: of what would be sent, comments and docstrings are a third."""
    tree = ast.parse(text)
    parts = _parts(tree)
    named = {part.id for part in parts if isinstance(part, ast.Name)}
    for part in parts:
        if isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(part) is not None:
            part.body[:1] = [] if part.body[1:] else [ast.Pass()]
        elif isinstance(part, ast.ImportFrom) and part.module == "typing":
            # Most types stand in comments.
            part.names = [one for one in part.names if one.name in named] or [ast.alias("Any")]
    for part in parts:
        if isinstance(part, ast.FunctionDef):
            _rename(part)
    return re.sub("^(    )+", lambda found: " " * (len(found.group()) // 4), ast.unparse(tree), flags=re.MULTILINE)


def _rename(function):
    # type: (ast.FunctionDef) -> None
    """Give what a function keeps for itself names of one letter; not where a scope in it could see them as well."""
    parts = _parts(function)
    if any(isinstance(part, _SCOPES) and part is not function for part in parts):
        return
    given = {part.arg for part in parts if isinstance(part, ast.arg)}
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    own = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    caught = [part.name for part in parts if isinstance(part, ast.ExceptHandler) and part.name]
    own, names = own.union(caught), names + caught
    free = [letter for letter in string.ascii_letters if letter not in given | set(names)]
    short = dict(zip(sorted(own - given, key=names.index), free, strict=False))
    for part in parts:
        if isinstance(part, ast.Name):
            part.id = short.get(part.id, part.id)
        elif isinstance(part, ast.ExceptHandler) and part.name:
            part.name = short.get(part.name, part.name)


def _text(name):
    # type: (str) -> str
    """A module as it is written."""
    return importlib.resources.files("driftd.probe").joinpath(name + ".py").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=None)
def _sent(name):
    # type: (str) -> str
    """A module as it is sent, in whichever of the programs: made when the first of them is."""
    return _bare(_text(name))


def _needed(names):
    # type: (Iterable[str]) -> List[str]
    """These modules and all that they import of the probe's, those first that others import."""
    ordered = []  # type: List[str]

    def visit(name):
        # type: (str) -> None
        if name in ordered:
            return
        for part in _parts(ast.parse(_text(name))):
            if isinstance(part, ast.ImportFrom) and part.module == "driftd.probe":
                for one in part.names:
                    visit(one.name)
            elif isinstance(part, ast.ImportFrom) and (part.module or "").startswith("driftd.probe."):
                visit((part.module or "").rpartition(".")[2])
        ordered.append(name)

    for name in names:
        visit(name)
    return ordered


@_once
def source():
    # type: () -> bytes
    """The whole program as Python source: each module is made in memory under its own name."""
    return _made(_needed(["look"]), _OPENING, _CLOSING)


def _made(names, opening="", closing="", empty=()):
    # type: (Iterable[str], str, str, Iterable[str]) -> bytes
    """Source that makes these modules; ``_OPENING``, which comes before the first of them, says how.

    Those that are ``empty`` can be imported and have nothing in them.
    """
    texts = ["driftd\n", "driftd.probe\n"] if opening else []
    texts += ["driftd.probe.%s\n" % name for name in empty]
    for name in names:
        texts.append("driftd.probe.%s\n%s\n" % (name, _sent(name)))
    if "'''" in "".join(texts):
        raise ValueError("a module of the probe has three quotes in it, which end the string that it travels in")
    return "".join((opening, "_modules(r'''", "\f".join(texts), "''')\n", closing)).encode("utf-8")


@_once
def glance_program():
    # type: () -> bytes
    """What to write to the started Python: the first part of the program, which answers questions (glance.py)."""
    return _packed(_made(GLANCE, _OPENING, _GLANCE_CLOSING))


@_once
def reading_piece():
    # type: () -> bytes
    """What a PIECE frame holds so that entries can be read anew."""
    return zlib.compress(_made(READING, closing=_ANSWERS % "reading"), 9)


@_once
def rest_piece():
    # type: () -> bytes
    """What another one holds so that everything can be asked that the whole program answers."""
    return zlib.compress(_made(REST, closing=_ANSWERS % "serving"), 9)


@_once
def resident_source():
    # type: () -> bytes
    """The program of a resident probe (watch.py) as Python source: of the modules those that it needs."""
    texts = [("driftd", ""), ("driftd.probe", "")]
    for name in _needed(RESIDENT):
        texts.append(("driftd.probe." + name, _sent(name)))
    return (_RESIDENT_OPENING + "_modules(%r)\n" % (texts,) + _RESIDENT_CLOSING).encode("utf-8")


@_once
def program():
    # type: () -> bytes
    """What to write to the started Python before the request: the compressed program behind a line with its length."""
    return _packed(source())


@_once
def resident_program():
    # type: () -> bytes
    """The same, of a resident probe."""
    return _packed(resident_source())


@functools.lru_cache(maxsize=None)
def _errand_program(tag):
    # type: (bytes) -> bytes
    with _MAKING:
        names = [name for name in _needed(ERRANDS[tag]) if name not in _ERRAND] + list(_ERRAND)
        empty = [name for name in MODULES if name not in names]
        return zlib.compress(_made(names, _OPENING, _ERRAND_CLOSING, empty), 9)


def errand_program(tag):
    # type: (bytes) -> bytes
    """What a Python has to run, compressed, to answer one frame of this tag (errand.py) and no other."""
    return _errand_program(tag)


def _packed(text):
    # type: (bytes) -> bytes
    packed = zlib.compress(text, 9)
    return b"%d\n" % len(packed) + packed
