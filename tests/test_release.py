"""What a release states in several places is the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  #: PyPI's names, and conda-forge's


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_citation_file() -> None:
    """What CFF 1.2.0 asks for, and the version and licence of the project."""
    cited = parsed("CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert cited["title"]
    assert cited["version"] == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert [a["name"] for a in cited["authors"]] == [a["name"] for a in PROJECT["authors"]]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(cited["references"]) == 2
    for paper in cited["references"]:
        assert paper["type"]
        assert paper["authors"]
        assert f"*{paper['title']}*" in readme


def test_the_conda_recipe_needs_the_same_packages() -> None:
    recipe = parsed("recipe/recipe.yaml")
    assert recipe["context"]["version"] == PROJECT["version"]
    assert recipe["package"]["name"] == PROJECT["name"]
    assert recipe["build"]["noarch"] == "python"
    (command,) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(command)]
    wanted = {"python " + PROJECT["requires-python"]}
    for line in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", line).groups()  # type: ignore[union-attr]
        wanted.add(f"{CONDA.get(name, name)} {bound}")
    assert set(recipe["requirements"]["run"]) == wanted


@pytest.mark.parametrize("text", ["README.md", "Dockerfile"])
def test_extras_that_are_named_exist(text: str) -> None:
    named = re.findall(r"\.\[([\w,]+)\]|EXTRAS=([\w,]+)", (ROOT / text).read_text("utf-8"))
    extras = {extra for pair in named for group in pair for extra in group.split(",")} - {""}
    assert extras
    assert extras <= set(PROJECT["optional-dependencies"])


def test_the_readme_lists_every_extra() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    listed = {extra for row in rows for extra in re.findall(r"`(\w+)`", row)}
    assert set(PROJECT["optional-dependencies"]) - {"dev"} <= listed
