"""The report of a period as one HTML file that asks nobody for anything: to be opened, printed and passed on."""

from __future__ import annotations

from markupsafe import Markup

from driftd import __version__
from driftd.core.period import Period
from driftd.doors.report.document import environment, part, security
from driftd.doors.report.period.sections import sections, summary, title


def render(period: Period) -> str:
    """The whole page."""
    css = part("report.css") + part("period.css")
    made = (
        environment()
        .get_template("period.html")
        .render(
            version=__version__,
            title=title(period),
            policy=security(css),
            css=Markup(css),  # noqa: S704  # our own file
            good=period.proof.good,
            summary=summary(period),
            sections=list(sections(period)),
        )
    )
    return made + "\n"
