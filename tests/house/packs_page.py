"""docs/packs.md, made from policies/. ``PYTHONPATH=tests/house python -m packs_page`` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from driftd.edges.documents import packs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "packs.md"
HEAD = """\
# Packs

What each shipped pack explains, and why. This page is made from `policies/`, and a test holds it against them; how
policies are read is in [policy.md](policy.md). A group whose policy says `auto` gets each pack for which its image has
what stands under *for*; the others are named by hand. Whatever no rule speaks of is a finding.

Each pack has a table of what it explains and of what comes near that and is a finding all the same:
`tests/edges/test_packs.py`. `debian`, `systemd`, `cloud-init`, `nginx` and `postgres` also run for real in the tests,
on Debian 12. **`ubuntu`, `rhel`, `amazon-linux-2023`, `ssm-agent` and `snapd` were written from documentation and
source code and have not met a server yet.** They are kept narrow, so what they miss shows as a finding; let
`driftd calibrate` tell you what your image does beside them.
"""
_KINDS_FIRST = ("path", "session")


def render() -> str:
    """The page as it is to be."""
    parts = [HEAD]
    for name, file in packs().items():
        document = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
        parts.append(_pack(name, document))
    return "\n".join(parts)


def _pack(name: str, document: dict[str, Any]) -> str:
    lines = [f"## {name}", "", f"{document['description']}.", ""]
    lines.append(
        f"*For:* {_when(document.get('when'))}" + (f" *Asked as:* {document['layer']}." if "layer" in document else "")
    )
    lines += ["", "| rule | speaks of | lets pass | because |", "| --- | --- | --- | --- |"]
    lines += [_rule(rule) for rule in document["rules"]]
    if shown := [path for show in document.get("show", ()) for path in _several(show["path"])]:
        lines += ["", f"*May be shown:* {', '.join(f'`{path}`' for path in shown)}."]
    return "\n".join([*lines, ""])


def _when(when: dict[str, Any] | None) -> str:
    if not when:
        return "groups that name it."
    words = {"packages": "the package", "paths": "the path", "os": "the system"}
    told = [f"{words[key]} {' or '.join(f'`{one}`' for one in _several(values))}" for key, values in when.items()]
    return f"images that have {' and '.join(told)}."


def _rule(rule: dict[str, Any]) -> str:
    match = dict(rule["match"])
    named = [key for key in match if key in _KINDS_FIRST or key not in ("kind", "change", "fields")]
    spoken = []
    for key in named:
        if isinstance(match[key], dict):
            spoken.append(f"{key} with {', '.join(f'{field} `{value}`' for field, value in match[key].items())}")
        else:
            spoken.append(("" if key == "path" else f"{key} ") + ", ".join(f"`{one}`" for one in _several(match[key])))
    if "kind" in match:
        spoken.append(f"kind {', '.join(_several(match['kind']))}")
    if "change" in match:
        spoken.append(", ".join(_several(match["change"])))
    fields = [
        f"{name} {' or '.join(f'`{one}`' if one else 'none' for one in _several(values))}"
        for name, values in match.get("fields", {}).items()
    ]
    if fields:
        spoken.append(f"with {', '.join(fields)}")
    cells = (rule["id"], "; ".join(spoken), _outcome(rule), " ".join(rule["because"].split()))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _outcome(rule: dict[str, Any]) -> str:
    if "expect" in rule:
        form = f" {rule['template']}" if "template" in rule else " of a form of its own" if "pattern" in rule else ""
        return f"{rule['expect']}{form}"
    if rule.get("action") in ("explain", "ignore"):
        return str(rule["action"])
    return f"nothing: {rule.get('severity', 'a finding')}, {rule.get('action', 'replace')}"


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
