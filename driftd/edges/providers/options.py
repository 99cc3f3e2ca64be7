"""What a user writes for a provider of ours, checked: a mistake is one sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from driftd.core.errors import BadInput

_M = TypeVar("_M", bound=BaseModel)


class Strict(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked(model: type[_M], value: object, where: str, page: str = "docs/providers.md") -> _M:
    """``value`` as ``model``, or ``BadInput``: ``where`` is its name in the configuration, ``page`` explains it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (where, *first["loc"]))
        known = ", ".join(sorted(model.model_fields))
        if first["type"] == "extra_forbidden":
            raise BadInput(f"{field} is not known", f"known here: {known}") from error
        raise BadInput(f"{field}: {first['msg']}", f"see {page}; known here: {known}") from error


def section_of(options: Mapping[str, object], kind: str) -> str:
    """What the section is called among ``providers``: as its provider, where nobody says."""
    return str(options.get("name") or kind)


def groups_of(options: Mapping[str, object], provider: str) -> Mapping[str, Mapping[str, Any]]:
    """The groups among the options that an entry point gets."""
    groups = options.get("groups") or {}
    if not isinstance(groups, Mapping):
        raise BadInput(
            f"the {provider} provider was given groups that are no mapping", "docs/configuration.md shows some"
        )
    return groups
