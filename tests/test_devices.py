"""Where networks run, and which precision they compute in."""

import types

import pytest
import torch

from hush.devices import bfloat16, device_for
from hush.errors import HushError
from hush.nets import placed


@pytest.mark.parametrize("answer", [True, False])
def test_the_processor_is_asked(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    mkldnn = types.SimpleNamespace(_is_mkldnn_bf16_supported=lambda: answer)
    monkeypatch.setattr(torch.ops, "mkldnn", mkldnn)
    assert bfloat16("cpu") is answer


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
def test_torch_without_mkldnn_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def missing() -> bool:
        raise error("mkldnn")

    mkldnn = types.SimpleNamespace(_is_mkldnn_bf16_supported=missing)
    monkeypatch.setattr(torch.ops, "mkldnn", mkldnn)
    assert bfloat16("cpu") is False


def test_auto_takes_cuda_and_leaves_mps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda, chosen in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert device_for("auto") == chosen
        assert device_for("cpu") == "cpu"
        assert device_for("mps") == "mps"


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HushError, match=r"no MPS device here; .*use --device cpu"):
        device_for("mps")
    with pytest.raises(HushError, match="no CUDA device here; use --device cpu"):
        device_for("cuda:1")
    with pytest.raises(HushError, match="'abacus' is not a known device; use"):
        device_for("abacus")


def test_mps_computes_in_float32_in_the_plain_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mkldnn = types.SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True)
    monkeypatch.setattr(torch.ops, "mkldnn", mkldnn)
    assert not bfloat16("mps")
    formats = []
    network = types.SimpleNamespace(to=lambda *a, memory_format=None: formats.append(memory_format))
    placed(network, "mps")
    placed(network, "cpu")
    assert formats == [torch.contiguous_format, None]
