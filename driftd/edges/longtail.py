"""The long tail: e-mail and a hundred other services by Apprise, each by one URL that holds its secrets.

Needs the extra ``notify``. Apprise says of a failure only that there was one, so whether a message arrived is then
open, and it may be said twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from driftd.core.errors import BadInput, Unavailable
from driftd.core.findings import Severity
from driftd.core.notices import Notice
from driftd.core.wording import printable
from driftd.secretfiles import held

try:
    import apprise
except ImportError:
    raise BadInput(
        "notify.apprise needs the Python package apprise, which is not installed",
        "install driftd with its extra: pip install 'driftd[notify]'",
    ) from None

TITLE = 120
LIMIT = 64 * 1024
_KIND = {Severity.CRITICAL: apprise.NotifyType.FAILURE, Severity.HIGH: apprise.NotifyType.FAILURE} | {
    Severity.MEDIUM: apprise.NotifyType.WARNING
}


class AppriseNotifier:
    """``driftd.core.ports.Notifier`` for one URL. ``where`` names it in sentences: the URL itself is a secret."""

    def __init__(self, url: str, where: str) -> None:
        self._where = where
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise BadInput(f"{where} is no URL that Apprise knows", "see its list: https://appriseit.com/services/")

    def send(self, notice: Notice) -> None:
        """See ``Notifier.send``."""
        said = self._apprise.notify(
            title=printable(f"driftd: {notice.title}")[:TITLE],
            body="\n".join(printable(line) for line in notice.text.split("\n")),
            notify_type=_KIND.get(notice.severity, apprise.NotifyType.INFO),
            body_format=apprise.NotifyFormat.TEXT,
        )
        if not said:
            raise Unavailable(
                f"{self._where} did not take a message, or not in whole",
                "try it by hand: apprise -vv -b test URL",
            )


def addresses(file: Path) -> Iterator[tuple[str, str, str]]:
    """Each URL in ``file``, one a line, with the outlet's name before and what to call it after; # begins a comment.

    The name stays with a URL wherever it stands in the file. Raises BadInput.
    """
    try:
        lines = held(file, "URLs", LIMIT).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadInput(f"{file} is no UTF-8 text", "it has one Apprise URL a line") from None
    found: dict[str, tuple[str, str, str]] = {}
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if url and not url.startswith("#"):
            name = "apprise-" + hashlib.sha256(url.encode()).hexdigest()[:8]
            found.setdefault(name, (name, url, f"line {number} of {file}"))
    if not found:
        raise BadInput(f"{file} has no URL in it", "it has one Apprise URL a line, such as mailtos://…")
    yield from found.values()
