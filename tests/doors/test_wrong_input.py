"""Every command and group of the command line with every kind of wrong input, from the program's own tree of commands.

Each time: an exit status that is not 0, one sentence and what to do next on standard error, nothing on standard output,
and nothing changed in the directory or the store. A command that is added and named in no table here fails.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from enum import Enum

import planted
import pytest
import typer
from cli_page import kind_of

from driftd import wiring
from driftd.doors.cli import program
from driftd.doors.desks.baking import Source

WHOLE = typer.main.get_command(program.whole())
# A right way to say each command; {…} are names that were planted. What it takes from outside is not there.
RIGHT = {
    "demo": "",
    "init": "--yes -o new.yaml",
    "doctor": "--no-login",
    "audit": "",
    "attest": "{instance} --last",
    "evidence": "",
    "bake": "--root tree --image x -o x.manifest",
    "calibrate": "web --dry-run",
    "trust": "127.0.0.1:1 --yes",
    "run": "",
    "status": "",
    "findings": "",
    "accept": "{signature} --reason why",
    "accepted": "",
    "unaccept": "1",
    "explain": "{signature}",
    "history": "{instance}",
    "report": "",
    "plan": "",
    "apply": "none.plan --yes",
    "rehearse": "web --seeds 1 --jobs 1",
    "replace": "{instance} --reason why",
    "quarantine": "{instance} --reason why",
    "rollout": "web",
    "cancel": "{rid}",
    "hold": "web/2 --reason why",
    "release": "{instance}",
    "approve": "{rid}",
    "deny": "{rid}",
    "motd": "web",
    "pause": "--reason why",
    "resume": "",
    "breakers": "",
    "reset": "C1 signature:0123456789abcdef --reason why",
    "manifest show": "made.manifest",
    "manifest diff": "made.manifest made.manifest",
    "manifest verify": "made.manifest",
    "manifest sign": "made.manifest --key none",
    "manifest keygen": "new",
    "manifest export": "made.manifest --format mtree",
    "manifest import": "made.mtree --image x -o x.manifest",
    "policy check": "",
    "policy test": "cases",
    "policy record": "cases",
    "policy simulate": "",
    "policy schema": "",
    "journal verify": "",
    "journal show": "",
    "journal export": "",
    "journal checkpoint": "",
    "journal accept-break": "--reason why",
    "store check": "",
    "store backup": "-o copy.db",
    "store restore": "copy.db",
    "store upgrade": "",
    "store accept": "--reason why",
}
# Names, numbers and files that nobody knows, and what the next step has to say of them.
UNKNOWN = {
    "doctor wbe": "did you mean web",
    "audit 127.0.0.11": "did you mean 127.0.0.1",
    "audit --root nowhere --manifest made.manifest": "nowhere|root",
    "audit --root tree --manifest nowhere": "nowhere: cannot be read",
    "audit --root tree --manifest made.manifest --policy debiann": "did you mean 'debian'",
    "audit --disk nowhere --manifest made.manifest": "nowhere|disk",
    "audit --out-of-band": "reads no disks",
    "bake --snapshot ami-0 --image x -o y": "no provider of the configuration reads snapshots",
    "audit --packages nowhere 127.0.0.1:9": "did you mean",
    "attest 127.0.0.11": "did you mean 127.0.0.1",
    "attest web/11 --last": "did you mean web/1",
    "attest 127.0.0.1:1 --key nowhere": "nowhere: the key cannot be read",
    "attest --verify nowhere --key nowhere": "nowhere: the key cannot be read",
    "attest --verify made.manifest": "no key is trusted here",
    "evidence 01KTQ8Z3F5M7N9P1R3T5V7W9XA": "see what there is: driftd evidence",
    "evidence -o tree": "name it by its id",
    "evidence --now --reason why": "name one: driftd status",
    "evidence 127.0.0.1:1 --now": "--now --reason WHY",
    "evidence 127.0.0.11 --now --reason why": "did you mean 127.0.0.1",
    "evidence --reason why": "--now --reason WHY",
    "bake --root nowhere --image x -o x.manifest": "see that its name is right",
    "bake --host wbe/1 --image x -o x.manifest": "there are: 127.0.0.1:1, web",
    "bake --oci nowhere --image x -o x.manifest": "",
    "bake --disk nowhere --image x -o x.manifest": "",
    "bake --root tree --image x -o x.manifest --policy systemdd": "did you mean 'systemd'",
    "bake --root tree --image x -o x.manifest --sign-with nowhere": "",
    "calibrate wbe": "did you mean web",
    "calibrate golden-2026.11 --group wbe": "did you mean web",
    "trust 127.0.0.1:1": "",
    "status wbe": "did you mean web",
    "rehearse wbe": "did you mean web",
    "findings web/11": "did you mean web/1",
    "accept 999 --reason why": "driftd findings",
    "accept {near} --reason why": "did you mean {signature}",
    "accept {signature} --group wbe --reason why": "did you mean web",
    "unaccept 999": "driftd accepted",
    "explain web/11": "did you mean web/1",
    "explain {near}": "did you mean {signature}",
    "history web/11": "did you mean web/1",
    "plan wbe": "did you mean web",
    "apply nowhere --yes": "see that its name is right",
    "replace 127.0.0.11 --reason why": "did you mean 127.0.0.1",
    "quarantine 127.0.0.11 --reason why": "did you mean 127.0.0.1",
    "quarantine web/11 --end --reason why": "see: driftd quarantine",
    "quarantine {instance}": "say why",
    "quarantine --end": "driftd quarantine INSTANCE",
    "rollout wbe": "did you mean web",
    "rollout web --image golden --reason why": "web",
    "rollout web --image golden-2026.11 --canary many --reason why": "write it like 5%",
    "rollout web --image golden-2026.11 --keep long --reason why": "write it like 90m",
    "rollout web --back --reason why": "had no rollout",
    "rollout web --image golden-2026.11": "needs a reason",
    "cancel web/11": "did you mean web/1",
    "approve {rid}Z": "did you mean {rid}",
    "deny web/11": "did you mean web/1",
    "hold web/11 --reason why": "did you mean web/1",
    "release i-0aa11bb22cc33dd45": "did you mean {instance}",
    "motd wbe": "did you mean web",
    "pause --group wbe --reason why": "did you mean web",
    "resume --group wbe": "did you mean web",
    "reset C11 signature:0123456789abcdef --reason why": "did you mean C1 signature:0123456789abcdef",
    "manifest show nowhere": "bake",
    "manifest show made.manifest /nowhere": "leave out",
    "manifest show made.manifest --key nowhere": "",
    "manifest diff made.manifest nowhere": "bake",
    "manifest verify nowhere": "bake",
    "manifest sign nowhere": "bake",
    "manifest export nowhere --format mtree": "bake",
    "manifest import nowhere --image x -o x.manifest": "",
    "policy check debiann": "did you mean 'debian'",
    "policy check nowhere.yaml": "",
    "policy check --manifest nowhere": "",
    "policy test nowhere": "",
    "policy test cases --policy debiann": "did you mean 'debian'",
    "policy record cases wbe": "did you mean web",
    "policy record cases --root nowhere --manifest made.manifest": "",
    "policy simulate debiann": "did you mean 'debian'",
    "policy simulate --group wbe": "did you mean web",
    "journal verify --file nowhere": "",
    "journal show web-11": "",
    "journal show {rid}Z": "did you mean {rid}",
    "journal export --since 999": "driftd journal show",
    "store restore nowhere": "",
}
# Those for which there is no name that nobody knows.
NAMELESS = frozenset(
    """demo init run accepted report breakers policy_schema manifest_keygen journal_checkpoint journal_accept-break
    store_check store_backup store_upgrade store_accept""".split()
)
# Lengths of time and dates, by the option's name; every command that has one of them is asked.
SPANS = frozenset(("--for", "--since", "--until", "--timeout", "--wait", "--at-most", "--unused-for", "--valid-for"))
# Of these no configuration is read, or what is wrong with it is what they tell.
BARE = {"init": "it writes one", "doctor": "it says what is wrong with it, point by point (tests/doors/test_doctor.py)"}
CONFIGS = {
    "none.yaml": "cannot read the configuration none.yaml: No such file or directory",
    "cases": "cases",
    "wrong.yaml": "wrong.yaml:2",
    "list.yaml": "list.yaml",
    "misspelt.yaml": "misspelt.yaml:1",
}
PLACES = {"missing/there": "missing", "cases": "cases", "fifo": "it is no regular file"}


def walk(command=WHOLE, path: str = "") -> Iterator[tuple[str, object]]:
    """Every group and command: ("", the program), ("audit", …), ("journal", …), ("journal verify", …)."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{path} {name}".strip())


EVERY = dict(walk())
COMMANDS = {path: one for path, one in EVERY.items() if not hasattr(one, "commands")}


def options(command) -> Iterator[tuple[str, object]]:
    for one in command.params:
        if one.param_type_name == "option":
            yield max(one.opts, key=len), one


def output(command) -> str:
    """The option that names a file to be written; "" for none."""
    return next(
        (name for name, one in options(command) if name == "--output" or (name == "--json" and not one.is_flag)), ""
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One directory for all: whatever changed it would fail the test that did."""
    directory = tmp_path_factory.mktemp("place")
    made = planted.plant(directory)
    (directory / "cases").mkdir()
    (directory / "wrong.yaml").write_text("groups: [web\n  store: {", encoding="utf-8")
    (directory / "list.yaml").write_text("- a\n- b\n", encoding="utf-8")
    (directory / "misspelt.yaml").write_text("groops: {}\n", encoding="utf-8")
    os.mkfifo(directory / "fifo")
    house = wiring.build(directory / "driftd.yaml")
    source = Source(root=directory / "tree")
    house.baking().bake(source, "golden-2026.11", directory / "made.manifest")  # reads the packs, once for all
    (directory / "made.mtree").write_text("#mtree\n. type=dir\n", encoding="utf-8")
    (directory / "cases" / "one.yaml").write_text(CASE, encoding="utf-8")
    return made


CASE = """\
schema: driftd.case/1
differences:
  - {kind: file, subject: /srv/x, change: added, actual: {kind: file, mode: "0644"}}
expect: {verdict: drifted}
"""


@pytest.fixture
def say(place, driftd, monkeypatch):
    """Run one line in the planted directory, with the names that were planted put in; its words are returned, too."""
    monkeypatch.chdir(place.directory)
    monkeypatch.setattr(program, "command", lambda: WHOLE)  # made once: nothing in it changes
    names = {
        "signature": place.signature,
        "near": "1" + place.signature[1:],
        "instance": place.instance,
        "rid": place.rid,
    }

    def run(line: str):
        return driftd(*line.format(**names).split())

    run.names = names
    return run


def kept(place) -> list[object]:
    """Everything in the directory: files and their bytes, and of the store its rows."""
    files = [one for one in sorted(place.directory.rglob("*")) if "driftd.db" not in one.name]
    with closing(sqlite3.connect(place.directory / "driftd.db")) as store:
        return [*((one, one.read_bytes() if one.is_file() else b"") for one in files), *store.iterdump()]


@pytest.fixture(autouse=True)
def unchanged(place):
    before = kept(place)
    yield
    assert kept(place) == before


def refused(said, line: str) -> str:
    """One sentence and what to do next, nothing else; the two."""
    assert said.status in {2, 3}, (line, said)
    assert said.out == "", (line, said)
    found = re.fullmatch(r"driftd: (\S[^\n]*)\nnext:   (\S[^\n]*)\n", said.err)
    assert found, (line, said.err)
    assert "a mistake of driftd's own" not in said.err, line
    assert len(found[1]) <= 240, line
    return said.err


def test_no_command_is_forgotten():
    assert set(RIGHT) == set(COMMANDS)
    asked = {path for path in COMMANDS for line in UNKNOWN if f"{line} ".startswith(f"{path} ")}
    nameless = {one.replace("_", " ", 1) for one in NAMELESS}
    assert asked | nameless == set(COMMANDS)
    assert not asked & nameless


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path or "driftd")
def test_an_option_that_nobody_knows(say, path: str):
    line = f"{path} {RIGHT.get(path, '')} --nonsense"
    assert "No such option: --nonsense" in refused(say(line), line)


@pytest.mark.parametrize("path", [path for path in EVERY if path not in COMMANDS], ids=lambda path: path or "driftd")
def test_a_command_that_nobody_knows(say, path: str):
    line = f"{path} nonsense"
    assert "No such command 'nonsense'" in refused(say(line), line)


@pytest.mark.parametrize("path", [path for path, one in COMMANDS.items() if any(p.required for p in one.params)])
def test_what_is_missing(say, path: str):
    first = next(one for one in COMMANDS[path].params if one.required)
    told = refused(say(path), path)
    assert re.search(r"Missing (argument|option) '", told), first
    assert f"see: driftd {path} --help" in told


@pytest.mark.parametrize("path", [path for path, one in COMMANDS.items() if all(p.nargs == 1 for p in one.params)])
def test_an_argument_too_many(say, path: str):
    line = f"{path} {RIGHT[path]} this that those"
    assert "unexpected extra argument" in refused(say(line), line)


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in BARE])
def test_a_configuration_that_cannot_be_used(say, path: str):
    for file, told in CONFIGS.items():
        line = f"-c {file} {path} {RIGHT[path]}"
        assert told in refused(say(line), line), line


@pytest.mark.parametrize("line", UNKNOWN)
def test_a_name_that_nobody_knows(say, line: str):
    told = refused(say(line), line)
    assert re.search(UNKNOWN[line].format(**say.names), told), told


@pytest.mark.parametrize("path", [path for path, one in COMMANDS.items() if output(one)])
def test_a_file_that_cannot_be_written(say, path: str):
    right = re.sub(r"-o \S+", "", RIGHT[path])
    more = "--root tree --manifest made.manifest" if path == "audit" else ""
    for file, told in PLACES.items():
        if (path, file) in {("init", "cases"), ("init", "fifo")}:
            continue  # into a directory it writes its file, and what is there it does not replace
        line = f"{path} {right.replace('--dry-run', '')} {more} {output(COMMANDS[path])} {file}"
        assert told in refused(say(line), line), line


@pytest.mark.parametrize("path", COMMANDS)
def test_a_value_that_is_none(say, path: str):
    for name, one in options(COMMANDS[path]):
        kind = kind_of(one)
        numbers_and_choices = kind is int or (isinstance(kind, type) and issubclass(kind, Enum))
        if one.is_flag or not (name in SPANS or numbers_and_choices):
            continue
        line = f"{path} {RIGHT[path]} {name} nonsense"
        told = refused(say(line), line)
        assert name in told, line
        assert kind is int or "nonsense" in told, line
