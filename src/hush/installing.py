"""The command that installs what is missing, for where hush is installed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "hush-denoise"
WINDOWS = os.name == "nt"
CLONE = Path(__file__).parents[2]  #: the folder of pyproject.toml, if hush runs from a clone


def command(package: str, extra: str = "") -> str:
    """The command that adds an extra of hush, or a package by name, to this environment."""
    return f"{_pip()} {_extra(extra) if extra else _quoted(package)}"


def _pip() -> str:
    """``pip install`` of this environment; the first pip on the PATH may belong to another."""
    first = shutil.which("pip")
    if first and Path(first).parent == Path(sysconfig.get_path("scripts")):
        return "pip install"
    if find_spec("pip") is None and shutil.which("uv"):  # uv makes environments without pip
        return f"uv pip install --python {_quoted(sys.executable)}"
    return f"{_quoted(sys.executable)} -m pip install"


def _extra(extra: str) -> str:
    """What to install: hush with the extra, from where this hush came from."""
    if (CLONE / "pyproject.toml").is_file() and (CLONE / "src" / "hush").is_dir():
        return "-e " + _quoted(f"{CLONE}[{extra}]")
    named = f"{NAME}[{extra}]"
    try:
        ours = distribution(NAME)
    except PackageNotFoundError:
        return _quoted(named)
    source = json.loads(ours.read_text("direct_url.json") or "{}")
    url, vcs = source.get("url", ""), source.get("vcs_info")
    if url.startswith("file:") and not vcs:
        path = Path(url2pathname(urlsplit(url).path))
        return _quoted(f"{path}[{extra}]") if path.exists() else _packages(ours, extra)
    if url:
        exact = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
        return _quoted(f"{named} @ {exact}")
    indexed = (ours.read_text("INSTALLER") or "").strip() != "conda"
    return _quoted(named) if indexed else _packages(ours, extra)


def _packages(ours: Distribution, extra: str) -> str:
    """The packages of an extra, where there is nothing to install hush from once more."""
    every = (line.partition(";") for line in ours.requires or ())
    return " ".join(
        _quoted(what.strip()) for what, _, when in every if f"extra == '{extra}'" in when
    )


def _quoted(text: str) -> str:
    """Quoted for the user's shell, if need be; cmd.exe knows double quotes only."""
    if not WINDOWS:
        return shlex.quote(text)
    return f'"{text}"' if set(text) & set(" []<>=&;@") else text
