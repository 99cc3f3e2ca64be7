"""A rehearsal as a file: one HTML page that asks nobody for anything, the picture alone, or JSON."""

from __future__ import annotations

from markupsafe import Markup

from driftd import __version__
from driftd.core.rehearsal import Rehearsed
from driftd.core.wording import rehearsing as said
from driftd.doors.report.document import environment, part, security
from driftd.doors.report.rehearsal.asjson import as_json
from driftd.doors.report.rehearsal.picture import picture


def written(ending: str, found: Rehearsed) -> str:
    """What goes into a file with this ending."""
    if ending == ".json":
        return as_json(found)
    if ending == ".svg":
        return picture(found.shown) if found.shown is not None else EMPTY
    return page(found)


EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


def page(found: Rehearsed) -> str:
    """The whole page."""
    css = part("report.css") + part("period.css") + part("rehearsal.css")
    shown = found.shown
    made = (
        environment()
        .get_template("rehearsal.html")
        .render(
            version=__version__,
            title="A rehearsal of driftd",
            policy=security(css),
            css=Markup(css),  # noqa: S704  # our own file
            good=found.held,
            result=said.result(found.held, found.seeds, len(found.broken)),
            found=found,
            led=said.replaced(len(found.replaced), found.middle, found.worst),
            lasted=said.span(found.lasted),
            shares=[(said.percent(share), said.spent(what)) for what, share in found.shares()],
            mishaps=[(count, name.replace("_", " ")) for name, count in found.mishaps.most_common()],
            again=found.again,
            shown=shown,
            picture=Markup(picture(shown, alone=False)) if shown else "",  # noqa: S704  # escaped where it is made
        )
    )
    return made + "\n"
