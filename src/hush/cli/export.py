"""``hush export``: a trained model for programs without torch."""

from __future__ import annotations

from pathlib import Path

import click

from hush.cli import words
from hush.cli.console import preload, say
from hush.cli.options import existing, talk
from hush.errors import HushError


@click.command(short_help="Write a trained model as an ONNX file.")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    help="The ONNX file to write.",
)
@existing
@talk
def export(model: str, out: Path, existing: str | None, verbose: bool, quiet: bool) -> None:
    """Write a trained model as an ONNX file, for programs without torch.

    MODEL is a file from hush train. Its method must be one pass of one network: nafnet,
    diffdenoise, puca, lgbpn, cbsn, noise2noise, noise2void, neighbor2neighbor or blind2unblind. The
    ONNX file's input "noisy" and output "denoised" are float32 (N, C, H, W), of any size and in any
    units. hush keeps the file only if its results agree with hush's own.

    Needs the packages of the extra "onnx"; without them, hush names the command that installs them.
    """
    if out.exists() and existing == "skip":
        say(f"{out} already exists; nothing was exported")
        return
    if out.exists() and existing is None:
        raise HushError(f"{out}: already exists; --overwrite replaces it")
    preload("hush.onnx")
    from hush import onnx
    from hush.models import load, path_of

    source = path_of(model)
    if out.resolve() == source.resolve():
        raise HushError(f"{out}: is the model itself; choose another name")
    denoiser = load(source)
    onnx.export(denoiser, out)
    if not quiet:
        lines = [
            ("method", denoiser.name),
            ("input", f"noisy, float32 (N, {denoiser.config()['channels']}, H, W), any units"),
            ("output", "denoised, the same shape and units"),
        ]
        words.print_block(f"{out}, {out.stat().st_size / 1e6:.2g} MB", lines)
