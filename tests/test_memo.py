"""What is asked for again is not computed again, and nothing else is taken for it."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

import numpy as np
import torch

from hush.cli.console import importing
from hush.memo import LARGEST, MOST, digest, memoised
from hush.methods.mid.step import seen
from hush.missing import ByValue, Missing
from hush.nets.step import StepNet
from hush.record import Batch


def counted():
    asked = []

    @memoised
    def total(x: np.ndarray, power: float = 1.0) -> float:
        asked.append(power)
        return float((x**power).sum())

    return total, asked


def test_a_result_is_known_by_the_content_of_its_arguments():
    total, asked = counted()
    x = np.arange(6.0).reshape(2, 3)
    assert total(x) == total(x.copy()) == total(np.asfortranarray(x)) == 15
    assert asked == [1.0]
    assert total(x, 2.0) == 55
    x[0, 0] = 1
    assert total(x) == 16  # the same array, other values
    assert asked == [1.0, 2.0, 1.0]


def test_shape_and_dtype_belong_to_the_content():
    zeros = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.int64), np.zeros(0), np.zeros((0, 2))]
    assert len({digest(x) for x in zeros}) == len(zeros)
    assert digest(zeros[0], 1.0) != digest(zeros[0], 2.0)


def test_only_the_last_results_are_kept_and_none_of_large_arrays():
    total, asked = counted()
    every = [np.full(3, float(k)) for k in range(MOST + 1)]
    for x in [*every, every[-1], every[0]]:
        total(x)
    assert len(asked) == MOST + 2  # the first one was forgotten
    large = np.zeros(LARGEST + 1, np.uint8)
    total(large), total(large)
    assert len(asked) == MOST + 4


def test_the_step_network_is_asked_again_when_its_weights_have_changed():
    torch.manual_seed(0)
    step, calls = StepNet(1), []
    torch.nn.init.normal_(step.wide[-1].weight)
    step.register_forward_hook(lambda *_: calls.append(1))
    x = np.random.default_rng(0).random((1, 64, 64), np.float32)

    def ask() -> np.ndarray:
        return seen(step, lambda part: torch.from_numpy(part.copy())[None], x)[1]

    first, again = ask(), ask()
    assert len(calls) == 1
    np.testing.assert_array_equal(first, again)
    again[...] = 0  # a caller's own copy
    np.testing.assert_array_equal(ask(), first)
    for weight in step.parameters():
        weight.data.mul_(1.5)  # in place, past autograd's count of versions
    assert not np.array_equal(ask(), first)
    assert len(calls) == 2


def test_marks_of_an_item_are_looked_for_once():
    asked = []

    class Counted(ByValue):
        def where(self, x: np.ndarray) -> np.ndarray:
            asked.append(x.shape)
            return super().where(x)

    x = np.ones((1, 8, 8), np.uint8)
    x[:, :2] = 0
    batch = Batch([x], 255.0, marks=[Counted(((Missing(0, 0),),))])
    known = batch.known(0)
    assert known is batch.known(0)
    assert len(asked) == 1
    assert not known[:, :2].any()
    assert known[:, 2:].all()
    assert not known.flags.writeable
    assert batch.piece(0, slice(1, 3), 1).known(0)[0, :, 0].tolist() == [False, True]


def test_imports_collect_no_garbage_and_the_collector_works_afterwards(tmp_path, monkeypatch):
    (tmp_path / "just_written.py").write_text("ring = []\nring.append(ring)\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()
    try:
        with importing():
            pass
        assert gc.get_freeze_count() == before  # nothing new that would stay
        with importing():
            assert not gc.isenabled()
            import_module("just_written")
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
        sys.modules.pop("just_written", None)
