"""The command line: a thin layer over `hush.api`, with a module for each group of commands.

Only click and the standard library are imported before a command runs, so ``hush --help`` is
immediate. Standard output gets only results, as text or with ``--json`` as JSON; messages
and progress go to standard error. Exit codes: 0 done, 1 bad input, 2 bad usage,
130 interrupted.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import click

from hush.cli.console import explain, is_verbose, say, show_traceback
from hush.cli.denoise import denoise
from hush.cli.export import export
from hush.cli.figures import compare, study
from hush.cli.look import inspect, methods, models
from hush.cli.train import train

__all__ = ["main"]


class _Program(click.Group):
    """Turns any exception of a command into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # no σ in cp1252
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # meant for programmers
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click handles these
        except KeyboardInterrupt:
            say("interrupted")
            ctx.exit(130)
        except Exception as error:
            if is_verbose(ctx):
                show_traceback()
            say(explain(error))
            ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in order of use, not alphabetical


@click.group("hush", cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hush-denoise", prog_name="hush")
def main() -> None:
    """Denoise images you only have noisy copies of, and see whether to trust the result.

    \b
    hush denoise noisy.tif                        writes noisy.denoised.tif
    hush denoise cells/*.tif -o out/ --report out/report.html
    hush inspect noisy.tif                        what kind of noise, and how much
    hush train noisy_folder/ -o mine.safetensors  train a model on your own files
    """


for command in (denoise, inspect, train, export, compare, models, methods, study):
    main.add_command(command)
