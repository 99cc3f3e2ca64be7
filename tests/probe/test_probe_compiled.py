"""Compiled modules: explained by their source and nothing else, on every Python that there is here."""

import importlib.util
import marshal
import os
import py_compile
import random
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.probe import compiled

SOURCE = b'''\
"""Says hello."""
import os
NAMES = {"a", "b", "c"}
class Thing:
    x: int = 5
    def run(self, y=2.5, *, z=10**40, w=3j):
        assert y, "none"
        if y in {"p", "q", "r"}:
            return None
        return (None, True, ..., -1, "\\u00fc", b"x" * y, lambda: os.sep)
async def go():
    return 1
'''
OTHERS = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"))


@pytest.fixture
def module(tmp_path):
    (tmp_path / "x.py").write_bytes(SOURCE)
    return tmp_path / "x.py"


def made(module, optimize=-1, mode=py_compile.PycInvalidationMode.TIMESTAMP):
    return Path(py_compile.compile(str(module), doraise=True, optimize=optimize, invalidation_mode=mode))


def why(path, source=SOURCE):
    return compiled.why_not(path.read_bytes(), source, os.fsencode(path))


@pytest.mark.parametrize("optimize", [0, 1, 2])
def test_what_python_compiles_is_explained_by_its_source(module, optimize):
    path = made(module, optimize)
    assert compiled.source_of(os.fsencode(path)) == os.fsencode(module)
    assert why(path) == ""


def test_the_name_says_how_far_it_was_optimized(module):
    path = made(module, 2)
    other = path.with_name(path.name.replace(".opt-2", ""))
    path.rename(other)
    assert why(other) == "its source says otherwise"


@pytest.mark.parametrize(
    "change", [(b"hello", b"jello"), (b"x: int = 5", b"x: int = 6"), (b"-1", b"-2"), (b"y=2.5", b"y=2.6")]
)
def test_another_source_explains_nothing(module, change):
    path = made(module)
    assert why(path, SOURCE.replace(*change)) == "its source says otherwise"


def test_one_that_is_used_whatever_its_source_says_is_never_explained(module):
    assert why(made(module, mode=py_compile.PycInvalidationMode.CHECKED_HASH)) == ""
    assert "whatever its source says" in why(made(module, mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))


def test_another_version_of_python_is_never_explained(module):
    path = made(module)
    path.write_bytes(b"\x00\x01" + path.read_bytes()[2:])
    assert "another version" in why(path)
    assert compiled.source_of(b"/x/__pycache__/x.cpython-27.pyc") is None
    for odd in (b"/x/x.cpython-311.pyc", b"/x/__pycache__/x.pyc", b"/x/__pycache__/x.opt-1.pyc", b"/x/__pycache__/x"):
        assert compiled.source_of(odd) is None


def test_every_bit_counts(module):
    path = made(module)
    data = path.read_bytes()
    rng = random.Random(1)
    for at in range(16, len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << rng.randrange(7)
        same = compiled.why_not(bytes(broken), SOURCE, os.fsencode(path)) == ""
        if same:  # the name of the compiled file, or how a string is kept
            assert marshal.loads(broken[16:]) == marshal.loads(data[16:])  # our own, a bit aside


@given(st.binary(max_size=300))
def test_bytes_that_are_no_module_are_none(data):
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    assert compiled.why_not(header + data, b"x = 1\n", b"/__pycache__/x.pyc")


def test_what_is_nested_without_end_or_shared_without_end_is_refused():
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    deep = b")\x01" * 100_000
    doubling = b"".join(b"\xa9\x02" for _ in range(60)) + b"N"
    shared = b")\x02\xa9\x01N" + b")\x02r" + struct.pack("<I", 0) + b"r" + struct.pack("<I", 0)
    for body in (deep, doubling, shared, b"s\xff\xff\xff\x7f", b"(\xff\xff\xff\x7fN", b"l\x00\x00\x00\x80"):
        said = "its source says otherwise" if body is shared else "it is not a compiled module"
        assert compiled.why_not(header + body, b"x = 1\n", b"/__pycache__/x.pyc") == said


SCRIPT = """
import os, py_compile, sys, types
for name in ("driftd", "driftd.probe"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [os.path.join(sys.argv[1], *name.split("."))]
from driftd.probe import compiled
source = sys.argv[2]
for level in (0, 1, 2):
    path = os.fsencode(py_compile.compile(source, doraise=True, optimize=level))
    data, text = open(path, "rb").read(), open(source, "rb").read()
    assert compiled.source_of(path) == os.fsencode(source), path
    assert compiled.why_not(data, text, path) == "", (level, compiled.why_not(data, text, path))
    assert compiled.why_not(data, text + b"x = 1\\n", path)
print("ok")
"""


@pytest.mark.parametrize("python", OTHERS, ids=lambda path: path.parents[1].name)
def test_on_other_versions(python, module):
    if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 6))"], check=False).returncode:
        return
    here = str(Path(compiled.__file__).parents[2])
    done = subprocess.run(
        [python, "-B", "-c", SCRIPT, here, str(module)],
        capture_output=True, text=True, check=False, env={"PYTHONHASHSEED": "random"},
    )  # fmt: skip
    assert done.stdout == "ok\n", done.stderr
