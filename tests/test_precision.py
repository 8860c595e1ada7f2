"""Which precision networks compute in."""

import types

import pytest
import torch

from hush.precision import bfloat16


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
