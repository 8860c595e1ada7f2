"""The one exception a user is meant to read."""

from __future__ import annotations


class HushError(Exception):
    """Bad input, in one sentence: what is wrong, and what would work.

    The command line prints the sentence and exits 1; Python callers catch this class.
    """


class Unfit(HushError):
    """Input that is left alone unless the user insists, such as a mask: what it is.

    ``force=True`` or ``--force`` insists. Of several files, the command line skips this one.
    """
