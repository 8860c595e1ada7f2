"""What is printed about denoised files: a screen about one, a line each about many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hush.cli import words

if TYPE_CHECKING:
    from hush.api import Result


def summary(o: Any, row: Mapping[str, Any], result: Result) -> list[tuple[str, str]]:
    """The one-screen summary, as labels and values."""
    from hush import kinds
    from hush.kinds import maps
    from hush.report import checked, describe

    noisy = result.noisy
    scale, kind = noisy.scale, kinds.get(noisy.kind)
    method = [checked.methods(result.method, result.items)]
    method += [f"model {result.model}"] if result.model else []
    method += [describe.steps(result.steps)]
    if result.step is not None:
        method[-1] += f" from {result.step:.2f} of the noise ladder"
    if o.adapt:
        helped = "adapted to the file" if row["adapted"] else "not adapted: it did not help"
        method.append(helped + "s" * (row["adapted"] and o.many))
    if o.strength != 1:
        method.append(f"strength {o.strength:g}")
    lines = [
        (kind.name, describe.size(noisy)),
        *kind.facts(result, bool(o.noise) and result.given),
        ("method", ", ".join(method)),
    ]
    if o.check and result.noisiest.check is None:
        lines.append(("checked", "only what was removed"))
    if result.spread is not None and row["uncertainty"]:
        mean = maps.mean(result.spread)
        told = "not known"
        if mean == mean:
            told = f"{describe.number(mean)}{describe.units(scale)} on average"
        lines.append(("uncertainty", f"{told} → {row['uncertainty']}"))
    if row.get("residual"):
        lines.append(("residual", row["residual"]))
    if row.get("sigma_map"):
        lines.append(("map of σ", row["sigma_map"]))
    if row.get("scores"):
        lines.append(("scores", row["scores"]))
    if row.get("picture"):
        lines.append(("picture", row["picture"]))
    lines.append(("time", describe.duration(row["seconds"])))
    if o.verbose:
        spent = ", ".join(f"{k} {describe.duration(v)}" for k, v in row["timings"].items())
        lines[-1] = ("time", f"{describe.duration(row['seconds'])} ({spent})")
        lines += [(f"step {t['step']}", kind.stepped(t, scale)) for t in result.trace]
    return lines


def shown(o: Any, row: Mapping[str, Any], result: Result) -> str:
    """What is printed about a result: a line if there are many, else a block."""
    if not o.many or o.verbose:
        said = words.most_important(row["warnings"], o.verbose)
        return words.block(f"{row['input']} → {row['output']}", summary(o, row, result), said)
    from hush import kinds
    from hush.report import describe

    count = len(row["warnings"])
    return (
        f"{row['input']} → {row['output']}: {kinds.get(row['kind']).brief(result)}, "
        f"{describe.duration(row['seconds'])}"
        + (f", {count} warning{'s' * (count != 1)}" if count else "")
    )


def totals(count: int, failed: int, skipped: int, seconds: float) -> str:
    """One line of totals for a batch of files."""
    from hush.report import describe

    parts = [f"{count - failed - skipped} of {count} files denoised"]
    parts += [f"{failed} failed"] * bool(failed) + [f"{skipped} skipped"] * bool(skipped)
    return f"{', '.join(parts)}, {describe.duration(seconds)}"
