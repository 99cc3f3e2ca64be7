from __future__ import annotations

import ast
import glob
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asking import Look

from driftd.probe import bundle

HERE = Path(bundle.__file__).parent
SENT = [HERE / f"{name}.py" for name in (*bundle.MODULES, "errand")]

# What Debian 12's libpython3.11-minimal has, of the pure modules that a probe could want; from its list of files
# (dpkg -L libpython3.11-minimal). Not there, among others: json, shutil, ctypes, gzip, tarfile, asyncio, urllib,
# multiprocessing, http, uuid, queue, pwd's friends in concurrent.
MINIMAL = {
    "abc", "argparse", "ast", "base64", "bisect", "calendar", "codecs", "collections", "contextlib", "copy", "csv",
    "datetime", "enum", "fnmatch", "functools", "getopt", "glob", "hashlib", "heapq", "importlib.util", "io",
    "ipaddress", "itertools", "locale", "operator", "pathlib", "pickle", "platform", "random", "re", "selectors",
    "signal", "socket", "stat", "string", "struct", "subprocess", "tempfile", "textwrap", "threading", "traceback",
    "types", "typing", "weakref",
}  # fmt: skip
# Built into its interpreter.
BUILT_IN = {
    "binascii",
    "errno",
    "fcntl",
    "gc",
    "grp",
    "marshal",
    "math",
    "os",
    "posix",
    "pwd",
    "select",
    "sys",
    "time",
    "zlib",
}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module or "")
    return {"driftd.probe" if name.startswith("driftd.probe.") else name for name in found}


def test_every_module_but_the_bundle_is_sent() -> None:
    sent = {p.stem for p in SENT} | set(bundle.RESIDENT)
    assert sent == {p.stem for p in HERE.glob("*.py")} - {"__init__", "bundle", "collector"}


# What a module does without where it is missing, and says so.
WITHOUT = {"lastlogins": {"sqlite3"}}


@pytest.mark.parametrize("path", SENT, ids=lambda p: p.stem)
def test_sent_modules_import_only_what_python3_minimal_has(path: Path) -> None:
    assert imported(path) <= MINIMAL | BUILT_IN | {"driftd.probe"} | WITHOUT.get(path.stem, set())


def test_modules_come_after_what_they_import() -> None:
    for place, path in enumerate(SENT):
        tree = ast.parse(path.read_text())
        above = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        ours = {alias.name for node in above if node.module == "driftd.probe" for alias in node.names}
        ours |= {node.module.rpartition(".")[2] for node in above if (node.module or "").startswith("driftd.probe.")}
        assert ours <= set(bundle.MODULES[:place])


def test_python_3_6_understands_what_is_sent() -> None:
    """vermin is the gate, by syntax and by the library's members; a real 3.6 is asked besides where there is one."""
    vermin = Path(sys.executable).with_name("vermin")
    run = subprocess.run(
        [str(vermin), "-t=3.6-", "--no-tips", "--eval-annotations", "--violations", *map(str, SENT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def interpreters() -> list[str]:
    """Every other Python at hand; on a machine without any, the one that runs the tests is asked."""
    names = [f"python3.{minor}" for minor in range(6, 15)] + ["/usr/bin/python3", "/usr/libexec/platform-python"]
    found = [shutil.which(name) for name in names]
    found += sorted(glob.glob(str(Path.home() / ".pyenv/versions/3.*/bin/python3")))
    real = {Path(path).resolve(): path for path in [*found, sys.executable] if path}
    return [path for path in real.values() if works(path)]


def works(path: str) -> bool:
    asked = subprocess.run([path, "-c", "import sys; sys.exit(sys.version_info < (3, 6))"], check=False)
    return asked.returncode == 0


@pytest.mark.parametrize("python", interpreters())
def test_each_python_at_hand_sees_the_same(tree: Path, look_at: Look, look_streamed: Look, python: str) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "b\udcff").write_text("x")
    here, there = look_at(tree), look_streamed(tree, python=python)
    assert (there.entries, there.facts, there.looked) == (here.entries, here.facts, here.looked)


def test_each_python_at_hand_sees_its_own_machine(look_streamed: Look) -> None:
    top = tuple(b"/" + name.name.encode() for name in Path("/").iterdir() if name.name != "proc")
    for python in interpreters():
        found = look_streamed(b"/", python=python, skip=top, sections=(b"facts", b"sessions"))
        assert [e.path for e in found.entries] == [b"/", b"/proc"]
        assert found.booted_at is not None
        assert re.fullmatch(r"[0-9a-f-]{36}/\d+", found.boot_id)


def test_what_starts_it_needs_no_escapes_in_sudoers() -> None:
    for word in bundle.ARGUMENTS:
        assert not set(word) & set(",:=\\*?[]!\"'#%@&|<>$`\n")


def test_the_pieces_are_the_whole_program_and_nothing_comes_twice() -> None:
    assert len(set(bundle.MODULES)) == len(bundle.MODULES)
    assert bundle.MODULES == bundle.GLANCE + bundle.READING + bundle.REST
    assert set(bundle._needed(["look"])) < set(bundle.MODULES)


def test_what_says_that_nothing_changed_is_small_and_so_is_what_reads_a_change() -> None:
    assert len(bundle.glance_program()) < 9 * 1024
    assert len(bundle.reading_piece()) < 11 * 1024


def test_the_program_is_small_enough_to_send_every_time() -> None:
    assert len(bundle.program()) < 72 * 1024
    length, _, packed = bundle.program().partition(b"\n")
    assert int(length) == len(packed)


def named(function: ast.AST) -> list[tuple[ast.AST, str]]:
    """What has a name in a function, with the attribute that holds it."""
    parts = [part for part in ast.walk(function) if isinstance(part, ast.Name | ast.ExceptHandler)]
    return [(part, "id" if isinstance(part, ast.Name) else "name") for part in parts]


@pytest.mark.parametrize("path", SENT, ids=lambda p: p.stem)
def test_what_is_sent_is_what_is_written_but_for_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = ast.parse(bundle._bare(path.read_text()))
    monkeypatch.setattr(bundle, "_rename", lambda _: None)
    written = ast.parse(bundle._bare(path.read_text()))
    for one, other in zip(ast.walk(sent), ast.walk(written), strict=True):
        if not isinstance(one, ast.FunctionDef):
            continue
        pairs = set()
        for (short, at), (long, _) in zip(named(one), named(other), strict=True):
            pairs.add((getattr(short, at), getattr(long, at)))
            setattr(short, at, getattr(long, at))
        assert len({short for short, _ in pairs}) == len({long for _, long in pairs}) == len(pairs)
    assert ast.dump(sent) == ast.dump(written)


def test_only_names_that_nobody_else_can_see_are_shortened() -> None:
    text = """
def plain(given):
    kept = given + 1
    try:
        other = [number for number in given]
    except OSError as error:
        raise ValueError(error)
    return kept, other, a

def around(given):
    kept = given
    def inner():
        return kept
    return inner
"""
    sent = bundle._bare(text)
    assert "kept = given\n" in sent, "a function within sees it"
    assert "given + 1" in sent, "arguments may be passed by name"
    assert ", a)" in sent, "what is not its own stays"
    assert not re.search(r"\b(other|number|error)\b", sent)
    ast.parse(sent)


def test_a_program_is_made_once_however_many_ask_at_the_same_time() -> None:
    """Python's own parser of trees fails now and then when several threads use it at once."""
    under_way, most = [], []

    def make() -> bytes:
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.01)
        under_way.pop()
        return b"made"

    once = bundle._once(make)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: once(), range(8))) == {b"made"}
    assert most == [1]
