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


def missing_package(package: str, extra: str = "", *, what: str = "this") -> HushError:
    """The error to raise if an optional package cannot be imported.

    package : its name. extra : the extra of hush that brings it; without one, it is installed by
    its name. what : the subject of "needs", such as "method poselib" or, in a codec, "is a FITS
    file, which".
    """
    from hush.installing import command

    return HushError(f"{what} needs {package}: {command(package, extra)}")


LONGEST = 500  #: characters of what a sentence says of a file's content


def printable(text: str) -> str:
    """The text on one line, cut if it is long; what no terminal shows, as damaged files hold it,
    as escapes."""
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} …"
