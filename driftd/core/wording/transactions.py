"""Sentences about package transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftd.core.wording import shown

if TYPE_CHECKING:  # only read
    from driftd.core.difference import Origin


def not_allowed(origin: Origin) -> str:
    """What a finding says of the package transaction behind it, and that this does not let it pass."""
    said = f"it is explained by the package transaction {_what(origin)}"
    if origin.level == "verified":
        proof = f"verified, signed by {_text(origin.release)}"
    else:
        proof = "by the instance's own books only" + (f" ({_text(origin.doubt)})" if origin.doubt else "")
    return f"{said}, {proof}, but policy does not allow it"


def allowed(because: str, origin: Origin | None) -> str:
    """Why a rule let something pass that a transaction explains: the rule's reason, and which one it was."""
    if origin is None:
        return because
    return f"{because.rstrip('.')}: {_what(origin)}, signed by {_text(origin.release)}"


def _what(origin: Origin) -> str:
    versions = " to ".join(_text(one) for one in (origin.was, origin.version) if one)
    run = f" ({_text(origin.transaction)})" if origin.transaction else ""
    return f"{_text(origin.package)} {versions}".rstrip() + run


def _text(value: str) -> str:
    return shown(value.encode("utf-8", "surrogateescape"))
