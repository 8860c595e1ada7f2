"""Two networks for Φ: which of them takes what, and that trainings and files know both."""

import numpy as np
import pytest
import torch
from benchmarks.joined import join

import hush
from hush.errors import HushError
from hush.methods.mid.image import MID
from hush.nets.experts import Experts, chosen
from hush.noise.processes import Correlated, Gaussian
from hush.schedule import Schedule

SIZES = {"channels": 1, "widths": (8, 12), "blocks": (1, 1)}


def model(white_net="gated", **settings):
    torch.manual_seed(0)
    mid = MID(**SIZES, white_net=white_net, **settings)
    mid.networks_ = mid.build(1).eval()
    for weight in mid.networks_.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return mid


def picture(side=64):
    rows, columns = np.mgrid[:side, :side] / side
    return (0.5 + 0.3 * np.sin(6 * rows) * np.cos(4 * columns))[None].astype(np.float32)


def test_each_sample_gets_the_network_for_its_spectrum():
    phi = model().networks_["noise"]
    x, level = torch.rand(3, 1, 32, 32), torch.full((3, 1, 32, 32), 0.1)
    shares = torch.ones(3, 5, 1)
    shares[1, 0] = 0.3
    shares = shares[:, : phi.white.told.octaves]
    with torch.inference_mode():
        every = phi(x, level, shares)
        white, spanning = phi.white(x, level, shares), phi.spanning(x, level, shares)
    assert not torch.allclose(white, spanning, atol=1e-3)
    torch.testing.assert_close(every[[0, 2]], white[[0, 2]])
    torch.testing.assert_close(every[1], spanning[1])
    torch.testing.assert_close(phi(x, level), phi.white(x, level))
    assert chosen(phi, shares[:1]) is phi.white
    assert chosen(phi, shares[1:2]) is phi.spanning
    assert chosen(phi.white, shares[1:2]) is phi.white


def test_white_noise_goes_to_one_network_and_blurred_noise_to_the_other():
    mid, x = model(), picture()
    for noise, changed in ((Gaussian(0.1), "white"), (Correlated(Gaussian(0.1), 1.5), "spanning")):
        before = mid.predicted(x, noise, False)
        other = model()
        for weight in getattr(other.networks_["noise"], changed).parameters():
            weight.data *= 0.5
        assert np.abs(other.predicted(x, noise, False) - before).max() > 1e-4
        kept = model()
        rest = {"white": "spanning", "spanning": "white"}[changed]
        for weight in getattr(kept.networks_["noise"], rest).parameters():
            weight.data *= 0.5
        np.testing.assert_array_equal(kept.predicted(x, noise, False), before)


def test_white_noise_teaches_only_its_network(tmp_path):
    x = picture(96) + Gaussian(0.1).sample(torch.zeros(1, 96, 96), torch.Generator()).numpy()
    mid = model()
    before = {k: v.clone() for k, v in mid.networks_.state_dict().items()}
    schedule = Schedule(max_steps=2, patch=32, batch=2, ema=0.0)
    mid.fit([x], noise=Gaussian(0.1), schedule=schedule, progress=False)
    after = mid.networks_.state_dict()
    changed = {k.split(".")[1] for k in before if not torch.equal(before[k], after[k])}
    assert "white" in changed
    assert "spanning" not in changed
    mid.save(tmp_path / "both.safetensors")
    loaded = hush.load(tmp_path / "both.safetensors")
    assert isinstance(loaded.networks_["noise"], Experts)
    assert np.abs(loaded.restore(x).data - mid.restore(x).data).max() < 2e-3


def test_models_are_joined_and_one_network_exchanged():
    first, second = model(""), model("", net="gated")
    joined = join(first, second)
    assert joined.white_net == "gated"
    x, noise = picture(), Correlated(Gaussian(0.1), 1.5)
    np.testing.assert_array_equal(
        joined.predicted(x, noise, False), first.predicted(x, noise, False)
    )
    white = Gaussian(0.1)
    np.testing.assert_array_equal(
        joined.predicted(x, white, False), second.predicted(x, white, False)
    )
    again = join(joined, model("", net="unet"))
    np.testing.assert_array_equal(
        again.predicted(x, noise, False), first.predicted(x, noise, False)
    )
    with pytest.raises(HushError, match="two networks"):
        join(first, joined)


def test_a_gray_pair_starts_a_pair_for_rgb():
    gray = model()
    rgb = gray.replace(channels=3)
    rgb.networks_ = rgb.build(3).eval()
    rgb.networks_.load_state_dict(gray.widened(3))
    x = np.repeat(picture(), 3, axis=0)
    for noise in (Gaussian(0.1), Correlated(Gaussian(0.1), 1.5)):
        made = rgb.predicted(x, noise, False)
        np.testing.assert_allclose(made[0], gray.predicted(x[:1], noise, False)[0], atol=1e-4)


def test_unknown_networks_are_refused():
    with pytest.raises(HushError, match="white_net must be"):
        MID(white_net="transformer")
