"""Write the README's table of methods against kinds of data, from the table of methods.

    python benchmarks/methods_table.py

The table stands between two comments; `tests/test_methods_table.py` compares it.
"""

from __future__ import annotations

from pathlib import Path

from hush.denoiser import ANY, Learns
from hush.kinds import KINDS
from hush.kinds import get as kind_of
from hush.methods import METHODS, get, kinds_of

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- methods: begin -->\n", "<!-- methods: end -->\n"
YES, NO = "●", ""
LEARNS: dict[Learns, str] = {
    "nothing": "",
    "noisy": "noisy files",
    "takes": "several takes of a scene",
    "pairs": "pairs, noisy and clean",
}


def lessons(name: str) -> str:
    """What a method is trained on, for any of its kinds."""
    kinds = tuple(KINDS) if kinds_of(name) == ANY else kinds_of(name)
    return ", ".join(dict.fromkeys(filter(None, (LEARNS[get(name, k).learns_from] for k in kinds))))


def table() -> str:
    """The table in Markdown; methods of other packages are not in it."""
    kinds = [k for k in KINDS if type(KINDS[k]).__module__.startswith("hush.")]
    head = ["method", *(kind_of(k).nouns[1] for k in kinds), "trained on"]
    rows = [head, ["---", *[":-:"] * len(kinds), "---"]]
    for name in METHODS:
        if name == "none" or not METHODS[name].__module__.startswith("hush."):
            continue
        able = kinds_of(name)
        marks = [YES if able == ANY or k in able else NO for k in kinds]
        rows.append([f"`{name}`", *marks, lessons(name)])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def with_table(text: str) -> str:
    """`text` with the table as it is now between the two comments."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def main() -> None:
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
