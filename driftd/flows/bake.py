"""Bake: look at a tree once and state what the image contains."""

from __future__ import annotations

from driftd.core import manifest, manifesttext
from driftd.core.digestkey import DigestKey
from driftd.core.errors import Refused, Unavailable
from driftd.core.facts import Instance, Unseen
from driftd.core.manifest import Manifest
from driftd.core.ports import Looker


def bake(
    looker: Looker,
    instance: Instance,
    image: str,
    *,
    provisional: bool = False,
    partial: bool = False,
    key: DigestKey | None = None,
    deadline_s: float = 600.0,
) -> Manifest:
    """The manifest of ``image`` as ``instance`` shows it; ``provisional`` when that is a running server.

    ``key`` is the image's digest key: the manifest names it; without one it has no digests of secrets.

    Raises ``Unavailable`` when nothing could be seen and ``BadInput`` when not everything could, unless ``partial``
    (or ``provisional``) says that a manifest which is silent there is wanted. What is returned has been written as
    text and read back, so it can be read again wherever it goes; a tree that no text can hold raises ``Refused``.
    """
    seen = looker.look(instance, deadline_s=deadline_s, key=key)
    if isinstance(seen, Unseen):
        raise Unavailable(f"{instance.id} could not be looked at: {seen.reason}", seen.hint)
    key_id = key.id if key else ""
    made = manifest.from_fingerprint(seen, image, provisional=provisional, partial=partial, key_id=key_id)
    if manifesttext.decode(manifesttext.encode(made)) != made:
        raise Refused(f"the manifest of {image} does not read back as it was written", "please report this as a bug")
    return made
