"""Self-contained HTML pages: whether to trust a result, and which noise is in a file.

`residual_statistics` and `warnings` judge what was removed, `section` and `inspected` boil one
result or inspection down to what its page shows, `write_report` writes the page.
"""

from __future__ import annotations

from hush.report.frame import Entry, picture_budget
from hush.report.inspection import inspected
from hush.report.page import Section, section, write_report
from hush.report.residual import residual_statistics, warnings

__all__ = [
    "Entry",
    "Section",
    "inspected",
    "picture_budget",
    "residual_statistics",
    "section",
    "warnings",
    "write_report",
]
