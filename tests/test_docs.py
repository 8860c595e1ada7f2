"""Every command that the documents name is one that hush or a benchmark still takes.

Only parsed, not run; README's commands are run by test_readme.py. The changelog may name what is
gone.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from hush.cli import main as program

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def commands() -> Iterator[tuple[str, str]]:
    """Page and command; of indented or fenced lines, and of code within a paragraph."""
    for page in PAGES:
        text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
        for line in dict.fromkeys(lines + inline):
            found = re.match(r"(?:\S+=\S+ )*(?:python benchmarks/|hush )", line)
            if found:
                yield page.name, line


def words(line: str) -> list[str]:
    """The words of a command, up to a comment or the next command."""
    ended = re.split(r"\s+#|\s*[|;>]|\s+&&", line)[0]
    return [w for w in shlex.split(ended) if not re.fullmatch(r"[A-Z_]+=\S+", w)]


class Parsed(Exception):
    pass


FOUND = list(commands())


@pytest.mark.parametrize(("page", "line"), [c for c in FOUND if "python benchmarks/" in c[1]])
def test_benchmarks_take_the_commands_of_the_documents(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    _, script, *options = words(line)
    assert (ROOT / script).is_file()
    module = importlib.import_module(f"benchmarks.{Path(script).stem}")
    if not hasattr(module, "argparse"):
        assert not options
        return
    original = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *given: Any) -> None:
        original(self, *given)
        raise Parsed

    def refused(self: argparse.ArgumentParser, message: str) -> None:
        assert "are required" in message, message  # the sentence is about one option
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setattr(argparse.ArgumentParser, "error", refused)
    monkeypatch.setattr(sys, "argv", [script, *options])
    with pytest.raises(Parsed):
        module.main()


@pytest.mark.parametrize(("page", "line"), [c for c in FOUND if "python benchmarks/" not in c[1]])
def test_hush_takes_the_commands_of_the_documents(page: str, line: str) -> None:
    _, *options = words(line)
    command: click.Command = program
    if not options[0].startswith("-"):
        assert options[0] in program.commands
        command = program.commands[options.pop(0)]
    try:
        command.make_context(command.name, list(options))
    except (click.exceptions.Exit, click.MissingParameter):
        pass  # --help, or the sentence is about one option
    except click.BadOptionUsage as error:
        if error.option_name != words(line)[-1]:  # the sentence names an option without a value
            raise
