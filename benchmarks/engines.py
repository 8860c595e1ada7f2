"""The networks of images in torch and in onnxruntime: what would hush gain without torch?

    python benchmarks/engines.py [--threads 1 2] [--sides 512 2048] [--models mid-gray mid-rgb]

Φ and Ψ of the shipped models are exported with free sizes and run on noise of the size of a
picture with its reflected border. Every engine and number of threads is a fresh process; times are
the least of several runs. Needs the extra `onnx`.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
from importlib.metadata import files, version
from pathlib import Path
from typing import Any

IMPORT = "from time import perf_counter as now; t = now(); import {}; print(now() - t)"

#: packages that only torch needs, and those that onnxruntime needs besides NumPy
TORCH = ("torch", "sympy", "mpmath", "fsspec", "filelock")
LIGHTNING = ("lightning", "pytorch-lightning", "torchmetrics", "lightning-utilities")
ONNXRUNTIME = ("onnxruntime", "protobuf", "flatbuffers")

BEFORE = """
import sys
from time import perf_counter as now
import numpy as np
path, model, threads, *sides = sys.argv[1:]
threads = int(threads)
rng = np.random.default_rng(0)

def least(run, times=3):
    def once():
        start = now()
        run()
        return now() - start
    return min(once() for _ in range(times))

def inputs(side, channels, octaves):
    groups = 1 if channels == 1 else channels + 1
    x = rng.random((1, channels, side, side), np.float32) - 0.5
    return x, np.full_like(x, 0.1), np.ones((1, octaves, groups), np.float32)
"""

OURS = (
    BEFORE
    + """
import torch
from hush import models
torch.set_num_threads(threads)
mid = models.load(model)
noise, step = (mid.networks_[name] for name in ("noise", "step"))
for side in map(int, sides):
    x, level, shares = (torch.from_numpy(a) for a in inputs(side + 16, mid.channels, step.octaves))
    x, level = (a.to(memory_format=torch.channels_last) for a in (x, level))
    for half in (False, True):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            phi, psi = least(lambda: noise(x, level, shares)), least(lambda: step(x))
            if not half:
                np.save(f"{path}/{model}-{side}.npy", noise(x, level, shares).numpy())
        kind = "bfloat16" if half else "float32"
        print(f"  torch {kind}, {threads} threads, {side}²: Φ {phi:.3f} s, Ψ {psi:.3f} s")
"""
)

THEIRS = (
    BEFORE
    + """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = threads
def opened(name):
    return ort.InferenceSession(f"{path}/{model}-{name}.onnx", options, ["CPUExecutionProvider"])
start = now()
noise, step = opened("noise"), opened("step")
print(f"  onnxruntime, {threads} threads: both sessions in {now() - start:.3f} s")
_, channels, _, _ = noise.get_inputs()[0].shape
octaves = noise.get_inputs()[2].shape[1]
for side in map(int, sides):
    x, level, shares = inputs(side + 16, channels, octaves)
    given = {"x": x, "level": level, "shares": shares}
    phi, psi = least(lambda: noise.run(None, given)), least(lambda: step.run(None, {"x": x}))
    far = np.abs(noise.run(None, given)[0] - np.load(f"{path}/{model}-{side}.npy")).max()
    print(f"  onnxruntime float32, {threads} threads, {side}²: Φ {phi:.3f} s, Ψ {psi:.3f} s, "
          f"largest difference from torch's float32 {far:.1e}")
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--sides", type=int, nargs="*", default=[512, 2048])
    parser.add_argument("--models", nargs="*", default=["mid-gray", "mid-rgb"])
    args = parser.parse_args()
    for names in (TORCH, LIGHTNING, ONNXRUNTIME):
        print(", ".join(f"{n} {version(n)}: {megabytes(n):.0f} MB" for n in names))
    for name in ("torch", "onnxruntime"):
        seconds = min(float(python(IMPORT.format(name))) for _ in range(5))
        print(f"import {name}: {seconds:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models:
            print(model)
            export(model, Path(folder))
            for threads in args.threads:
                for code in (OURS, THEIRS):
                    print(python(code, folder, model, threads, *args.sides), end="")


def python(code: str, *arguments: object) -> str:
    """What a piece of Python prints in a fresh process."""
    return subprocess.check_output([sys.executable, "-c", code, *map(str, arguments)], text=True)


def megabytes(package: str) -> float:
    """The size of an installed package."""
    paths = (Path(str(file.locate())) for file in files(package) or ())
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def export(model: str, folder: Path) -> None:
    """Write Φ and Ψ of a shipped model as ONNX files with free sizes."""
    import torch

    from hush import models
    from hush.nets.values import groups
    from hush.onnx import quiet

    mid: Any = models.load(model)
    networks = copy.deepcopy(mid.networks_).to(memory_format=torch.contiguous_format)
    x = torch.rand(2, mid.channels, 80, 112)  # one tensor given twice would become one input
    shares = torch.rand(2, networks["step"].octaves, groups(mid.channels))
    free = {0: "B", 2: "H", 3: "W"}
    for name, given, sizes in (
        ("noise", (x, x.clone(), shares), {"x": free, "level": free, "shares": {0: "B"}}),
        ("step", (x,), {"x": free}),
    ):
        with quiet():
            program = torch.onnx.export(
                networks[name],
                given,
                dynamo=True,
                dynamic_shapes=sizes,
                input_names=[*sizes],
                output_names=["y"],
                verbose=False,
            )
        path = folder / f"{model}-{name}.onnx"
        assert program is not None
        program.save(path, external_data=False)
        print(f"  {name}: {path.stat().st_size / 1e6:.1f} MB as ONNX")


if __name__ == "__main__":
    main()
