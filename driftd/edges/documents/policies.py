"""Policies on disk: packs and documents found by name, read, and put in the order in which they are asked.

A document that is named later is asked first, so that a group's own file, named after the packs, has the last word.
Within a document the rules are asked from top to bottom. ``auto`` stands for every shipped pack that says for which
images it is: what is about a service is asked before what is about a platform, and that before what is about the
system.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

import driftd
from driftd.core.errors import BadInput
from driftd.core.packs import LAYERS, Pack
from driftd.core.policy import Policy
from driftd.edges.documents.files import read
from driftd.edges.documents.policymodels import SCHEMA, PackModel
from driftd.edges.documents.policyrules import rules_of, shows_of, when_of
from driftd.edges.documents.refusals import unread
from driftd.yamltext import SIZE_LIMIT, complaint, parse

SUFFIXES = (".yaml", ".yml")
AUTO = "auto"


def packs() -> dict[str, Path]:
    """The packs that come with driftd, by name: in the installed package, or beside it where it is checked out."""
    package = Path(driftd.__file__).parent
    for directory in (package / "policies", package.parent / "policies"):
        if directory.is_dir():
            return {file.stem: file for file in sorted(directory.glob("*.yaml"))}
    return {}


def load_policy(names: Sequence[str], base: Path | None = None) -> Policy:
    """The policy that ``names`` amount to: packs by their name, files by their path (relative to ``base``), ``auto``.

    Raises BadInput with file, line and remedy.
    """
    found: list[Pack] = []
    seen: set[str] = set()
    for name in names:
        file = _find(name, base or Path()) if name != AUTO else None
        if str(file) in seen:
            raise BadInput(f"the policy {name!r} is named twice", "name it once, after what it overrides")
        seen.add(str(file))
        found[:0] = [replace(load_pack(file, name), own=_is_file(name))] if file else _offered(names)
    return Policy.of(found)


def digest_of(names: Sequence[str], base: Path | None = None) -> str:
    """The SHA-256 of what ``names`` say, in hexadecimal digits: another digest is other rules. Raises BadInput."""
    found = hashlib.sha256()
    for name in names:
        files = [*packs().values()] if name == AUTO else [_find(name, base or Path())]
        for file in files:
            try:
                text = read(file, SIZE_LIMIT * 4 + 1)
            except OSError as error:
                raise unread(file, error) from None
            found.update(f"{name}\0{file.name}\0{len(text)}\0".encode() + text)
    return found.hexdigest()


def _offered(names: Sequence[str]) -> list[Pack]:
    """Every shipped pack that says what it is for, but those that are named themselves; first asked first."""
    known = [load_pack(file, name) for name, file in packs().items() if name not in names]
    offered = [replace(pack, offered=True) for pack in known if pack.when]
    return sorted(offered, key=lambda pack: (LAYERS.index(pack.layer), pack.name))


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith(SUFFIXES)


def _find(name: str, base: Path) -> Path:
    if _is_file(name):
        return base / name
    known = packs()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, [AUTO, *known], n=1)
    hint = (
        f"did you mean {close[0]!r}?"
        if close
        else f"packs: {', '.join([AUTO, *known])}; a file is named with its .yaml"
    )
    raise BadInput(f"there is no policy pack {name!r}", hint)


def load_pack(file: Path, name: str = "") -> Pack:
    """One document, called ``name`` (else as it calls itself). Raises BadInput with file, line and remedy."""
    try:
        # As many bytes as may be characters: what is larger is refused by its beginning.
        text = read(file, SIZE_LIMIT * 4 + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 (byte {error.start + 1})", "save it as UTF-8") from None
    except OSError as error:
        raise unread(file, error) from None
    return read_pack(text, str(file), name)


@lru_cache(maxsize=128)  # one command asks for the same packs several times, and each takes a tenth of a second to read
def read_pack(text: str, where: str, name: str = "") -> Pack:
    """One document from its text; ``where`` is what complaints call it. Raises BadInput."""
    document = parse(text, where)
    if not isinstance(document.value, dict):
        raise BadInput(f"{where}:1: a policy is a mapping", f'begin with "schema: {SCHEMA}"')
    try:
        pack = PackModel.model_validate(document.value)
    except ValidationError as error:
        raise complaint(error, document, PackModel) from None
    return Pack(
        name=name or pack.name,
        rules=rules_of(document, pack),
        shows=shows_of(document, pack),
        when=when_of(document, pack),
        layer=pack.layer,
    )
