"""Put one model's Φ beside another's, for white noise: how the shipped image models are made.

    python -m benchmarks.joined mid-gray white.safetensors -o mid-gray.safetensors

Where the first model has two networks already, the one for white noise is exchanged. The card keeps
the first model's training, and lists the second's under ``white``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hush import models
from hush.errors import HushError
from hush.nets.experts import Experts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spanning", help="the model whose Ψ, and Φ for all other noise, are kept")
    parser.add_argument("white", help="the model whose Φ takes over where noise is white")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    kept: Any = models.load(args.spanning)
    white: Any = models.load(args.white)
    joined = join(kept, white)
    card = {**kept.card, "settings": joined.config(), "white": white.card}
    joined.card_ = card
    joined.save(args.output)
    args.output.with_suffix(".json").write_text(
        json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    )


def join(kept: Any, white: Any) -> Any:
    """A model with Ψ and Φ of `kept`, and Φ of `white` for white noise."""
    if white.white_net:
        raise HushError("the model for white noise has two networks itself")
    sizes = [(m.channels, tuple(m.widths), tuple(m.blocks)) for m in (kept, white)]
    if sizes[0] != sizes[1]:
        raise HushError(f"the models differ in channels, widths or blocks: {sizes}")
    joined = kept.replace(white_net=white.net)
    joined.networks_ = joined.build(kept.channels)
    old = kept.networks_["noise"]
    spanning = old.spanning if isinstance(old, Experts) else old
    joined.networks_["step"].load_state_dict(kept.networks_["step"].state_dict())
    joined.networks_["noise"].spanning.load_state_dict(spanning.state_dict())
    joined.networks_["noise"].white.load_state_dict(white.networks_["noise"].state_dict())
    return joined


if __name__ == "__main__":
    main()
