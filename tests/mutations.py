"""Damage to files by rule, the same for the same seed: bytes, integers, numbers in text, parts.

In files that are compressed, or whose parts have checksums, damage is also done inside, and the
rest is made to fit again; a reader would refuse the file before it sees anything of it otherwise.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

Rng = np.random.Generator
INTEGERS = (b"0", b"-1", b"1", b"65536", b"2147483647", b"2147483648", b"4294967295")
ODD = (b"99999999999999999999", b"1e308", b"1e999", b"nan", b"-inf", b"", b"0x10", b"\xc2\xb2")
NUMBERS = INTEGERS + ODD
EXTREMES = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**63 - 1)
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(files: Mapping[str, bytes], seed: int) -> dict[str, bytes]:
    """Files of one input with one to four kinds of damage, of seven inputs in eight in one file."""
    rng = np.random.default_rng(seed)
    made = dict(files)
    if len(made) > 1 and rng.random() < 0.06:  # one is missing
        del made[str(rng.choice(sorted(made)))]
        return made
    for _ in range(rng.integers(1, 5)):
        name = str(rng.choice(sorted(made)))
        made[name] = damaged(made[name], rng)
        if rng.random() < 0.5:
            break
    return made


def damaged(raw: bytes, rng: Rng) -> bytes:
    """Damage somewhere in the content of one file, or inside what it packs."""
    if rng.random() < 0.6:
        for head, inside in _INSIDE.items():
            if raw.startswith(head):
                try:
                    return inside(raw, rng)
                except Exception:  # readers raise almost any class
                    break  # it is damaged already
    text = is_text(raw)
    every = [*_ANY, *(_TEXT * 2 if text else _BINARY * 2)]
    return every[rng.integers(len(every))](raw, rng)


def is_text(raw: bytes) -> bool:
    """Whether a file is text, or begins as text as some headers do."""
    head = raw[:200]
    return bool(head) and sum(9 <= c < 127 for c in head) > 0.9 * len(head)


def _place(raw: bytes, rng: Rng) -> int:
    """A position, in half of all cases among the first bytes, where headers are."""
    end = len(raw) if rng.random() < 0.5 else min(len(raw), 400)
    return int(rng.integers(max(1, end)))


def _flip(raw: bytes, rng: Rng) -> bytes:
    made = bytearray(raw)
    for _ in range(rng.integers(1, 9)):
        if made:
            made[_place(raw, rng)] ^= 1 << rng.integers(8)
    return bytes(made)


def _replace(raw: bytes, rng: Rng) -> bytes:
    made = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        if made:
            made[_place(raw, rng)] = rng.integers(256)
    return bytes(made)


def _cut(raw: bytes, rng: Rng) -> bytes:
    return raw[: _place(raw, rng)]


def _insert(raw: bytes, rng: Rng) -> bytes:
    at = _place(raw, rng)
    return raw[:at] + rng.bytes(int(rng.integers(1, 40))) + raw[at:]


def _remove(raw: bytes, rng: Rng) -> bytes:
    at = _place(raw, rng)
    return raw[:at] + raw[at + int(rng.integers(1, 40)) :]


def _copy(raw: bytes, rng: Rng) -> bytes:
    at, to = _place(raw, rng), _place(raw, rng)
    block = raw[at : at + int(rng.integers(1, 80))]
    return raw[:to] + block + raw[to + len(block) * int(rng.integers(2)) :]


def _append(raw: bytes, rng: Rng) -> bytes:
    return raw + raw[-int(rng.integers(1, 400)) :]


def _integer(raw: bytes, rng: Rng) -> bytes:
    """An extreme value in place of an integer of 1 to 8 bytes."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(EXTREMES)) % 256**size
    at = _place(raw, rng) // size * size if rng.random() < 0.7 else _place(raw, rng)
    order: Literal["little", "big"] = "little" if rng.random() < 0.6 else "big"
    return raw[:at] + value.to_bytes(size, order) + raw[at + size :]


def _number(raw: bytes, rng: Rng) -> bytes:
    """An extreme value in place of a number in text."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", raw[:4000]))
    if not found:
        return _insert(raw, rng)
    one = found[rng.integers(len(found))]
    return raw[: one.start()] + NUMBERS[rng.integers(len(NUMBERS))] + raw[one.end() :]


def _word(raw: bytes, rng: Rng) -> bytes:
    """A word gone, doubled, or of another line."""
    words = list(re.finditer(rb"\S+", raw[:4000]))
    if not words:
        return _insert(raw, rng)
    one, other = (words[rng.integers(len(words))] for _ in range(2))
    new = (b"", one[0] + b" " + one[0], other[0])[rng.integers(3)]
    return raw[: one.start()] + new + raw[one.end() :]


def _line(raw: bytes, rng: Rng) -> bytes:
    """A line gone, doubled, moved, emptied, or with the end of another system."""
    lines = raw.splitlines(keepends=True)
    if not lines:
        return _insert(raw, rng)
    i, j = rng.integers(len(lines), size=2)
    line = lines.pop(i)
    new: tuple[list[bytes], ...] = ([], [line, line], [b"\n"], [line.rstrip() + b"\r\n"])
    new = (*new, [line.rstrip() + b"\r"], [line[:-1] + b" " * 3 + line])
    choice = int(rng.integers(len(new) + 1))
    if choice == len(new):
        lines.insert(j, line)
    else:
        lines[i:i] = new[choice]
    return b"".join(lines)


_ANY = (_flip, _replace, _cut, _insert, _remove, _copy, _append)
_BINARY = (_integer, _integer, _number)
_TEXT = (_number, _number, _word, _line)


# -- inside ------------------------------------------------------------------------------------


def _in_gzip(raw: bytes, rng: Rng) -> bytes:
    return gzip.compress(damaged(gzip.decompress(raw), rng), 1, mtime=0)


def _in_zip(raw: bytes, rng: Rng) -> bytes:
    """In a member or its name."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))] if names else ""
        for name in names:
            content = old.read(name)
            if name == chosen:
                content = damaged(content, rng)
                name = name[::-1] if rng.random() < 0.05 else name
            info = zipfile.ZipInfo(name)
            new.writestr(info, content, old.getinfo(names[0]).compress_type)
    return target.getvalue()


def _in_png(raw: bytes, rng: Rng) -> bytes:
    """In a chunk, or in what its pixels unpack to."""
    chunks, at = [], len(PNG)
    while at + 12 <= len(raw):
        (size,) = struct.unpack(">I", raw[at : at + 4])
        chunks.append([raw[at + 4 : at + 8], raw[at + 8 : at + 8 + size]])
        at += 12 + size
    i = int(rng.integers(max(1, len(chunks))))
    name, content = chunks[i] if chunks else (b"IEND", b"")
    if name == b"IDAT" and rng.random() < 0.7:
        content = zlib.compress(damaged(zlib.decompress(content), rng))
    else:
        content = damaged(content, rng) or content
    if chunks:
        chunks[i][1] = content
    return PNG + b"".join(
        struct.pack(">I", len(x)) + n + x + struct.pack(">I", zlib.crc32(n + x)) for n, x in chunks
    )


_INSIDE: dict[bytes, Callable[[bytes, Rng], bytes]] = {
    b"\x1f\x8b": _in_gzip,
    b"PK\x03\x04": _in_zip,
    PNG: _in_png,
}
