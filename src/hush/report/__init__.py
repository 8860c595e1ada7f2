"""One self-contained HTML page that says whether to trust a result.

`residual_statistics` and `warnings` judge what was removed, `section` boils one result down
to what the page shows, `write_report` writes the page.
"""

from __future__ import annotations

from hush.report.page import Section, picture_budget, section, write_report
from hush.report.residual import residual_statistics, warnings

__all__ = [
    "Section",
    "picture_budget",
    "residual_statistics",
    "section",
    "warnings",
    "write_report",
]
