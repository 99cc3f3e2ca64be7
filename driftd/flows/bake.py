"""Bake: look at a tree once and state what the image contains."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core import classrules, manifest, manifesttext, shown, sidecar
from driftd.core.asks import Ask
from driftd.core.digestkey import DigestKey
from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.policy import Policy
from driftd.core.ports import Looker
from driftd.core.showable import Show
from driftd.core.sidecar import Sidecar


def bake(
    looker: Looker,
    instance: Instance,
    image: str,
    *,
    provisional: bool = False,
    partial: bool = False,
    key: DigestKey | None = None,
    policy: Policy | None = None,
    deadline_s: float = 600.0,
) -> Manifest:
    """The manifest of ``image`` as ``instance`` shows it; ``provisional`` when that is a running server.

    ``policy`` classes the entries (core/classrules.py); without one all of them are exact.
    ``key`` is the image's digest key: the manifest names it; without one it has no digests of secrets.

    Raises ``Unavailable`` when nothing could be seen and ``BadInput`` when not everything could, unless ``partial``
    (or ``provisional``) says that a manifest which is silent there is wanted. What is returned has been written as
    text and read back, so it can be read again wherever it goes; a tree that no text can hold raises ``Refused``.
    """
    return bake_showing(
        looker,
        instance,
        image,
        Policy(),
        policy,
        provisional=provisional,
        partial=partial,
        key=key,
        deadline_s=deadline_s,
    )[0]


def bake_showing(
    looker: Looker,
    instance: Instance,
    image: str,
    shows_of: Policy,
    policy: Policy | None,
    *,
    provisional: bool = False,
    partial: bool = False,
    key: DigestKey | None = None,
    deadline_s: float = 600.0,
) -> tuple[Manifest, Sidecar]:
    """The same, and the sidecar: what the files say that ``shows_of`` lists as showable, asked in the same look."""
    key_id = key.id if key else ""
    shows: tuple[Show, ...] = ()
    made: list[Manifest] = []

    def stated(seen: Fingerprint) -> Manifest:
        return manifest.from_fingerprint(seen, image, provisional=provisional, partial=partial, key_id=key_id)

    def ask(seen: Fingerprint) -> Sequence[Ask]:
        nonlocal shows
        try:
            made.append(stated(seen))
        except BadInput:
            return ()  # and said below, where a look has ended
        shows = shows_of.for_manifest(made[0]).shows
        return sidecar.asks(made[0], shows)

    seen = looker.look(instance, deadline_s=deadline_s, key=key, ask=ask if shows_of.packs or shows_of.shows else None)
    if isinstance(seen, Unseen):
        raise Unavailable(f"{instance.id} could not be looked at: {seen.reason}", seen.hint)
    finished = made[0] if made else stated(seen)
    if policy is not None:
        finished = classrules.filled(finished, policy.for_manifest(finished))
    return manifesttext.proven(finished), sidecar.kept(finished, shown.answered(seen.answers, shows))
