"""States below the collected level, and several steps in one pass, where answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.errors import HushError
from hush.methods.mid.below import LENGTHS, taken, walked
from hush.methods.mid.distilling import taught_by
from hush.methods.mid.image import MID
from hush.methods.mid.loss import Ladder, States, further, joint_loss
from hush.noise.processes import Gaussian, parse
from hush.sampling import walk_down
from hush.schedule import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("power", [1.0, 0.8])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_right_estimate_takes_equal_parts_of_the_noise(length: int, power: float) -> None:
    """As `walk_down` does, which tells the same levels."""
    x, n = torch.rand(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    told: list[float] = []

    def whole(s: Tensor, share: float) -> Tensor:
        told.append(share)
        return s - x

    for steps in range(length + 1):
        told.clear()
        removed = taken(whole, x + n, length, steps, power)
        torch.testing.assert_close(removed, n * steps / length)
        assert told == pytest.approx([(1 - k / length) ** power for k in range(steps)])
    end, trace = walk_down(lambda s, level: s - x.numpy(), (x + n).numpy(), length, power)
    np.testing.assert_allclose(end, x.numpy(), atol=1e-6)
    assert told == pytest.approx([entry["level"] for entry in trace])


@pytest.mark.parametrize("gain", [0.3, 0.5, 0.9])
def test_targets_below_the_collected_level_have_the_noise_s_expectation(gain: float) -> None:
    """x ~ N(0, 1) in noise of variance 1, twice that in training; Φ removes any share of a state.

    The regression of the target on the walked state is that of the truth, s' − x, which training
    does not see.
    """
    shape = (400, 1, 32, 32)
    x = torch.randn(shape, generator=rng(1))
    s_0 = x + torch.randn(shape, generator=rng(2))
    _, states = Gaussian(1.0).exchanged(s_0, 2.0, rng(3))
    s_t, target = states[0]
    s, targets, left = walked(lambda s, share: gain * s, s_t, target, 1.0, rng(4))
    assert float(left.max()) < 1
    on = lambda y: float((y * s).mean() / s.square().mean())  # noqa: E731
    assert on(targets) == pytest.approx(on(s - x), abs=0.01)
    assert abs(on(targets) - on(target)) > 0.05  # not that of the state before


def test_some_states_walk_and_the_others_stay() -> None:
    s, targets = torch.randn(8, 1, 4, 4), torch.randn(8, 1, 4, 4)
    seen = set()
    for seed in range(40):
        s_, t_, left = walked(lambda s, share: 0.5 * s, s, targets, 0.5, rng(seed))
        assert torch.equal(s_[4:], s[4:])
        assert torch.equal(t_[4:], targets[4:])
        torch.testing.assert_close(s_ - t_, s - targets)  # the truth that both point to
        assert torch.equal(left[4:], torch.ones_like(left[4:]))
        assert len(set(left[:4].flatten().tolist())) == 1
        seen.add(float(left[0]))
    assert seen == {1 - k / n for n in LENGTHS for k in range(1, n)}


def test_training_without_walks_draws_nothing_for_them() -> None:
    generator = rng()
    before = generator.get_state()
    s = torch.randn(4, 1, 4, 4)
    made = walked(lambda s, share: s, s, s, 0.0, generator)
    assert made[0] is s
    assert torch.equal(generator.get_state(), before)


def states_of(x: Tensor, **settings: Any) -> States:
    ladder = Ladder(parse("gaussian:10/255"), 1.0, 0.0, **settings)
    return further(x, [Gaussian(0.1)] * len(x), ladder, 4, rng())


def test_read_literally_the_ladder_begins_at_the_collected_sample() -> None:
    x = torch.rand(64, 1, 16, 16)
    states = states_of(x, naive=True)
    s_0 = x.repeat_interleave(2, 0)
    torch.testing.assert_close(states.targets, states.noisy - s_0)
    added = states.targets.square().mean((1, 2, 3)).sqrt()
    told = states.deviations.mean((1, 2, 3))
    assert float((added / told).mean()) == pytest.approx(1, abs=0.03)
    assert float(told.min()) < 0.02  # from 0 on, where nothing was added
    assert float(states_of(x).deviations.min()) > 0.1  # v_0 and more


class Half(nn.Module):
    """Estimates half of the state as its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, s: Tensor, level: Tensor, shares: Tensor) -> Tensor:
        return self.weight * s


def test_lambda_weighs_the_step_and_walks_leave_it_alone() -> None:
    class Step(nn.Module):
        def forward(self, s: Tensor) -> Tensor:
            return torch.ones(len(s), 4, 1, 1, 1) * s.square().mean()

    networks = nn.ModuleDict({"noise": Half(), "step": Step()})
    states = states_of(torch.rand(4, 1, 16, 16))
    one, tenth, walking = (
        joint_loss(networks, states, 0.05, 16, rng(1), weight, below)
        for weight, below in ((1.0, 0.0), (0.1, 0.0), (0.1, 1.0))
    )
    assert float(one["step_loss"]) == pytest.approx(10 * float(tenth["step_loss"]))
    assert one["noise_loss"] == tenth["noise_loss"]
    assert walking["step_loss"] == tenth["step_loss"]
    assert walking["noise_loss"] != tenth["noise_loss"]


def test_a_student_learns_what_all_steps_remove() -> None:
    teacher: Any = SimpleNamespace(networks_=nn.ModuleDict({"noise": Half()}), power=1.0)
    teacher.thorough = lambda: teacher
    teacher.whole_noise = lambda s, level, shares, half: teacher.networks_["noise"](
        s, level, shares
    )
    states = states_of(torch.rand(2, 1, 8, 8))
    taught = taught_by(teacher, 2)(states)
    torch.testing.assert_close(taught.targets, states.noisy * (1 - 0.75 * 0.5))
    assert torch.equal(taught.noisy, states.noisy)
    assert not taught.targets.requires_grad


def test_the_teacher_is_the_start_at_its_best_and_is_not_trained() -> None:
    images = [np.random.default_rng(0).random((32, 32))]
    schedule = Schedule(max_steps=3, batch=2, patch=16, learning_rate=1e-2)
    start = MID(widths=(8, 12), blocks=(1, 1)).fit(images, noise="gaussian:0.1", schedule=schedule)
    before = {k: v.clone() for k, v in start.networks_.state_dict().items()}  # type: ignore[union-attr]
    student = MID(widths=(8, 12), blocks=(1, 1), distil=2)
    with pytest.raises(HushError, match="needs a model to learn from; give --start"):
        student.fit(images, noise="gaussian:0.1", schedule=schedule)
    student.fit(images, noise="gaussian:0.1", schedule=schedule, start=start)
    for key, value in start.networks_.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, before[key])
    learned = student.networks_.state_dict()  # type: ignore[union-attr]
    assert not torch.equal(learned["noise.tail.weight"], before["noise.tail.weight"])
    assert start.thorough().turns == 6
    assert start.turns == 2


def test_lambda_changes_next_to_nothing() -> None:
    """Ψ and Φ share no weights, and AdamW does not depend on the scale of a loss."""
    images = [np.random.default_rng(0).random((32, 32))]
    schedule = Schedule(max_steps=3, batch=2, patch=16)
    one, hundred = (
        MID(widths=(8, 12), blocks=(1, 1), step_weight=weight)
        .fit(images, noise="gaussian:0.1", schedule=schedule)
        .networks_.state_dict()  # type: ignore[union-attr]
        for weight in (1.0, 100.0)
    )
    for key, value in one.items():
        if key.startswith("noise."):
            assert torch.equal(value, hundred[key])
        torch.testing.assert_close(value, hundred[key], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("wrong", [{"below": 1.5}, {"below": -0.1}, {"distil": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HushError, match="below must be 0 to 1"):
        MID(**wrong)
