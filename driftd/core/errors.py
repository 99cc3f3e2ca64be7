"""Errors that a person may meet. Each is one sentence that says what, where and why; ``hint`` says what next.

DriftdError
├── BadInput          a file, flag or setting is wrong (exit status 2)
└── ProviderError     the provider's side of the world
    ├── NotFound      the thing is gone already; ending it again counts as done
    ├── Refused       it will not be done however often one asks (bad request, no permission)
    │   └── NoCapacity   there is no room for it: quota used up, or the provider has none left
    └── Unavailable   it could not be asked, or not now; ask again later
        ├── Unreached    nobody was there to be asked; nothing was done
        └── Throttled    it was asked too often; nothing was done
"""

from __future__ import annotations


class DriftdError(Exception):
    """Any error of ours. ``str()`` is the sentence; ``hint`` may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadInput(DriftdError):
    """Something that a person wrote is wrong. The sentence names file and line where there are any."""


class ProviderError(DriftdError):
    """A call to a provider did not succeed."""


class NotFound(ProviderError):
    """It does not exist, or no longer does."""


class Refused(ProviderError):
    """Asking again will not help."""


class NoCapacity(Refused):
    """There is no room for what was asked, and nothing was made. Asking again at once will not help."""


class Unavailable(ProviderError):
    """Asking again later may help. Nothing is known about whether the call took effect."""


class Unreached(Unavailable):
    """What was asked did not arrive, or was turned away as a whole: nothing was done. Asking again later may help."""


class Throttled(Unavailable):
    """Asked too often, and nothing was done. ``retry_after_s``: seconds until asking again may help, 0 when unsaid."""

    def __init__(self, message: str, hint: str = "", *, retry_after_s: float = 0.0) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s
