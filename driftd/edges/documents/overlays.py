"""Overlays on disk: what calibration learnt of an image, beside its manifest, as a document that people review.

It is a policy document like any other (docs/policy.md), written by ``render_overlay`` and read as those of people are.
Where the manifest is sealed, only what was signed with it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from driftd.core.errors import BadInput, Refused
from driftd.core.facts import Unseen
from driftd.core.globs import Glob
from driftd.core.manifest import Manifest
from driftd.core.packs import Pack
from driftd.core.rules import Match, Rule
from driftd.core.wording import printable
from driftd.edges.documents.beside import Beside
from driftd.edges.documents.names import OVERLAY, Files, file_name
from driftd.edges.documents.policies import read_pack
from driftd.edges.documents.policymodels import SCHEMA
from driftd.yamltext import SIZE_LIMIT

NAME = "overlay"


class OverlayDirectory(Beside[Pack]):
    """``Overlays`` over a directory of manifests; with ``manifest``, the one beside that file."""

    limit = SIZE_LIMIT
    again = "calibrate the image again, or sign what is there: driftd manifest sign"

    @staticmethod
    def _file(files: Files) -> Path:
        return files.overlay

    @staticmethod
    def _name(image: str) -> str:
        return file_name(image, OVERLAY)

    def _made(self, file: Path, manifest: Manifest, data: bytes) -> Pack | Unseen:
        del manifest
        try:
            return read_pack(data.decode("utf-8"), str(file))
        except UnicodeDecodeError as error:
            return Unseen(f"{file}: not UTF-8 (byte {error.start + 1})", self.again)
        except BadInput as error:
            return Unseen(str(error), error.hint)


# --- writing ---------------------------------------------------------------------------------------------------------


def render_overlay(rules: Sequence[Rule], head: Iterable[str], description: str) -> bytes:
    """The document of ``rules``, with ``head`` as the comment above it: read again it gives the same rules.

    Raises Refused where it does not, and for more than a document holds.
    """
    document = CommentedMap()
    document["schema"] = SCHEMA
    document["name"] = NAME
    document["description"] = description
    document["rules"] = [_rule(rule) for rule in rules]
    yaml = YAML()
    yaml.width = 4096  # a line an item, however long
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = BytesIO()
    yaml.dump(document, stream)
    comment = "".join(f"# {printable(line)}".rstrip() + "\n" for line in head)
    data = comment.encode() + stream.getvalue()
    try:
        again = read_pack(data.decode("utf-8"), NAME).rules
    except BadInput as error:
        raise Refused(f"what was learnt of {len(rules)} paths and facts is no document: {error}", _TOO_MUCH) from None
    if [_rule(rule) for rule in again] != [_rule(rule) for rule in rules]:
        raise Refused("what was learnt does not read back as it was written", "please report this as a bug")
    return data


_TOO_MUCH = "write a rule into the group's own policy for the directory in which most of it lies, and calibrate again"


def _rule(rule: Rule) -> dict[str, object]:
    said: dict[str, object] = {"id": rule.id, "match": _match(rule.match)}
    outcome = {"expect": rule.expect, "template": rule.template, "action": rule.action, "severity": rule.severity}
    said.update({name: str(value) for name, value in outcome.items() if value})
    said["because"] = rule.because
    if rule.evidence:
        said["evidence"] = list(rule.evidence)
    return said


def _match(match: Match) -> dict[str, object]:
    said: dict[str, object] = {}
    if match.paths:
        said["path"] = _texts(match.paths)
    said.update({kind: _texts(found) for kind, found in sorted(match.facts.items())})
    if match.changes:
        changes = sorted(str(change) for change in match.changes)
        said["change"] = changes[0] if len(changes) == 1 else changes
    if match.fields:
        said["fields"] = {name: _texts(found) for name, found in sorted(match.fields.items())}
    return said


def _texts(found: Sequence[Glob]) -> str | list[str]:
    texts = [_quoted(glob.text) for glob in found]
    return texts[0] if len(texts) == 1 else texts


def _quoted(text: str) -> str:
    """What editors that read older YAML would take for true or false."""
    return SingleQuotedScalarString(text) if text.lower() in {"yes", "no", "on", "off", "y", "n"} else text
