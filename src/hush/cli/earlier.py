"""Results of earlier runs among the inputs, which are not denoised again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hush.cli.console import say


def results_in(files: Iterable[Path], among: Iterable[Path]) -> list[Path]:
    """Those of `files` that an earlier run made, by their names, of another file.

    That one lies beside them, or is `among` the inputs.
    """
    from hush.io import origin

    inputs = {path.name for path in among}
    beside: dict[Path, set[str]] = {}
    found = []
    for path in files:
        if (stem := origin(path)) is None:
            continue
        folder = path.absolute().parent
        if folder not in beside:
            beside[folder] = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        names = beside[folder] | inputs
        whole = stem.rpartition(".")[0]  # of one of several images in a file: set.2 of set.tif
        if any(n == stem or _is_plain(n, stem) or (whole and _is_plain(n, whole)) for n in names):
            found.append(path)
    return found


def _is_plain(name: str, stem: str) -> bool:
    """Whether a file of this name is `stem` with an ending, and no result itself."""
    return name.startswith(f"{stem}.") and not name.startswith(f"{stem}.denoised")


def without(files: Sequence[str], among: Sequence[str]) -> list[str]:
    """`files` without results of earlier runs, which are told; all if they are nothing else."""
    found = {str(p) for p in results_in(map(Path, files), map(Path, among))}
    kept = [file for file in files if str(Path(file)) not in found]
    if not found or not kept:
        return list(files)
    tell(sorted(found))
    return kept


def tell(found: Sequence[str | Path]) -> None:
    """Say which files are skipped, as results of earlier runs."""
    one = f"{found[0]}, a result of an earlier run"
    several = f"{len(found)} results of earlier runs, such as {found[0]}"
    say(f"skipped: {one if len(found) == 1 else several}; to denoise it again, give it alone")
