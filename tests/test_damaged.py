"""Files of every format, whole and damaged by rule, through reading, `hush.run` and writing.

``benchmarks/fuzz.py`` does the same with many more, in processes with limits.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from corpus import Sample, corpus
from mutations import mutated
from trial import FINE, lay, tried

from hush import io
from hush.cli import main

DAMAGED = 200  #: files

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return corpus(tmp_path_factory.mktemp("corpus"))


def test_the_corpus_has_every_format_that_is_written(samples: list[Sample]) -> None:
    assert {f.name for f in io.FORMATS if f.write} <= {s.format for s in samples}


def test_whole_files_are_read_and_written(samples: list[Sample], tmp_path: Path) -> None:
    """Or refused with the reason that is known; and the values are the same."""
    refused = {"palette.png": "palette image", "bits.png": "1-bit image"}
    for sample in samples:
        made = tried(sample.path.name, sample.kind, sample.files, tmp_path / "a")
        if known := refused.get(sample.path.name):
            assert made.name == "refused"
            assert known in made.said
        else:
            assert made.name == "read", f"{sample}: {made}"


def test_damaged_files_are_read_or_refused(samples: list[Sample], tmp_path: Path) -> None:
    """In one sentence, and nothing is left beside them."""
    found = []
    for number in range(DAMAGED):
        sample = samples[number % len(samples)]
        files = mutated(sample.files, number)
        made = tried(sample.path.name, sample.kind, files, tmp_path / "a")
        found += [f"{sample.path.name} {number}: {made}"] * (made.name not in FINE)
    assert found == []


def test_damage_is_the_same_for_the_same_seed(samples: list[Sample]) -> None:
    files = samples[0].files
    every = [mutated(files, seed) for seed in range(20)]
    assert every == [mutated(files, seed) for seed in range(20)]
    assert sum(made != files for made in every) > 15


@pytest.mark.parametrize("name", ["a.npz", "scan.h5", "gap.edf", "a.ply", "a.zarr"])
def test_the_command_line_says_one_sentence(
    name: str, samples: list[Sample], tmp_path: Path
) -> None:
    sample = next(s for s in samples if s.path.name == name)
    half = {file: raw[: len(raw) // 2] for file, raw in sample.files.items()}
    lay(half, tmp_path / "in")
    path = tmp_path / "in" / name
    result = CliRunner().invoke(main, ["denoise", str(path), "-o", f"{tmp_path / 'out'}/"])
    assert result.exit_code == 1, result.output
    assert result.output.startswith(f"hush: {path}: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()
