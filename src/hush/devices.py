"""Where networks run, and in which precision."""

from __future__ import annotations

from hush.errors import HushError


def device_for(device: str) -> str:
    """The device, ``auto`` resolved; `HushError` if it does not exist.

    ``auto`` is CUDA if there is one, and otherwise the CPU; Apple's ``mps`` has to be named.
    """
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    name = device.partition(":")[0]
    if name not in ("cuda", "mps"):
        raise HushError(f"'{device}' is not a known device; use auto, cpu, cuda or mps")
    if name == "cuda" and not torch.cuda.is_available():
        raise HushError("there is no CUDA device here; use --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise HushError(
            "there is no MPS device here; it needs a Mac with Apple silicon and a torch built for "
            "it; use --device cpu"
        )
    return device


def bfloat16(device: str) -> bool:
    """Whether bfloat16 convolutions are faster than float32 ones on `device` ("auto", "cpu", …)."""
    import torch

    if device.startswith("mps"):
        return False
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # torch was built without mkldnn
        return False
