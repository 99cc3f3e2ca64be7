"""How the files of an image are called."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

_NAME_LIMIT = 200


def file_name(image: str, suffix: str) -> str:
    """The image's id with everything but letters, digits and ``_.-~`` as ``%HH``, and ``suffix``.

    An id too long for a file name is cut, and told apart by its digest.
    """
    name = quote(image, safe="", errors="surrogateescape")
    if len(name) > _NAME_LIMIT:
        digest = hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()
        name = f"{name[: _NAME_LIMIT - 65]}.{digest}"
    return name + suffix
