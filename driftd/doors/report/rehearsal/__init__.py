"""Reports of a rehearsal: a table for a terminal, a page with a picture, JSON."""

from driftd.doors.report.rehearsal.asjson import as_json
from driftd.doors.report.rehearsal.page import written
from driftd.doors.report.rehearsal.table import table

__all__ = ["as_json", "table", "written"]
