"""The precision that networks compute in."""

from __future__ import annotations

import torch


def bfloat16(device: str) -> bool:
    """Whether bfloat16 convolutions are faster than float32 ones on `device` ("auto", "cpu", …)."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # torch was built without mkldnn
        return False
