"""Files of recordings: EDF and BDF, WFDB, NumPy archives, MNE. What is not denoised stays as it is.

Files are written here byte by byte, as odd as those of recorders, and go through the command line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import hush
from hush import api, io
from hush.cli import main
from hush.errors import HushError
from hush.kinds import to_batch
from hush.kinds.signal import chosen
from hush.record import Record
from hush.recording import Channel, Event

edfio = pytest.importorskip("edfio")


def run(*arguments: object, code: int = 0) -> Result:
    """A command line; its output must not be an internal error."""
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    assert "internal error" not in done.output
    return done


def row(*arguments: object) -> dict[str, Any]:
    """What ``hush denoise --method none --json`` says about a file."""
    found: dict[str, Any] = json.loads(
        run("denoise", *arguments, "--method", "none", "--json").stdout
    )
    assert found["error"] is None
    return found


# -- EDF and BDF -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """A signal of a file to build: header fields, and samples or annotation bytes a record."""

    label: bytes
    records: Sequence[Any]
    unit: bytes = b"uV"
    physical: tuple[bytes, bytes] = (b"-3276.8", b"3276.7")
    digital: tuple[bytes, bytes] = (b"-32768", b"32767")
    transducer: bytes = b"AgAgCl"


def edf(
    lanes: Sequence[Lane],
    *,
    duration: bytes = b"1",
    reserved: bytes = b"",
    count: bytes = b"",
    width: int = 2,
) -> bytes:
    """A whole file; 24-bit samples with `width` 3."""

    def raw(part: Any) -> bytes:
        if isinstance(part, bytes):
            return part
        four = np.asarray(part, "<i4").view(np.uint8).reshape(-1, 4)
        return four[:, :width].tobytes()

    records = len(lanes[0].records)
    version = b"0       " if width == 2 else b"\xffBIOSEMI"
    main = [
        *((version, 8), (b"X F 01-JAN-1990 J\xe9r\xf4me", 80), (b"Startdate 02-MAR-2020 X", 80)),
        *((b"02.03.20", 8), (b"12.34.56", 8), (b"%d" % (256 * (len(lanes) + 1)), 8)),
        *((reserved, 44), (count or b"%d" % records, 8), (duration, 8), (b"%d" % len(lanes), 4)),
    ]
    columns = [
        [(x.label, 16) for x in lanes],
        [(x.transducer, 80) for x in lanes],
        [(x.unit, 8) for x in lanes],
        *([(x.physical[end], 8) for x in lanes] for end in (0, 1)),
        *([(x.digital[end], 8) for x in lanes] for end in (0, 1)),
        [(b"HP:10Hz LP:500Hz", 80) for _ in lanes],
        [(b"%d" % (len(raw(x.records[0])) // width), 8) for x in lanes],
        [(b"", 32) for _ in lanes],
    ]
    header = b"".join(value.ljust(n) for value, n in [*main, *(f for c in columns for f in c)])
    return header + b"".join(raw(x.records[r]) for r in range(records) for x in lanes)


def samples(records: int, count: int, seed: int = 0, low: int = -2000, high: int = 2000) -> Any:
    """Random samples, also at the limits."""
    found = np.random.default_rng(seed).integers(low, high, (records, count), endpoint=True)
    found[0, :2] = low, high
    return found


def marks(onsets: Sequence[float], texts: Sequence[bytes] = (), size: int = 60) -> list[bytes]:
    """An annotation channel: the onset of each record, and lists in the first ones."""
    rows = [b"+%s\x14\x14\0" % f"{onset:g}".encode() for onset in onsets]
    for i, text in enumerate(texts):
        rows[i % len(rows)] += text
    return [r.ljust(size, b"\0") for r in rows]


LISTS = (b"+0.5\x151.25\x14Bewegung \xc3\xbc\x14\0", b"+2\x14A\x14B\x14\0+2\x150\x14\x14\0")


@pytest.mark.parametrize("width", [2, 3])
def test_a_file_comes_back_byte_by_byte(width: int, tmp_path: Path) -> None:
    """Records of 2 s, unlike rates and units, namesakes, odd characters, triggers, annotations."""
    name = b"EDF" if width == 2 else b"BDF"
    path = tmp_path / f"x.{name.decode().lower()}"
    far = 32767 if width == 2 else 8388607
    limits = (b"%d" % (-far - 1), b"%d" % far)
    lanes = [
        Lane(b"EMG \xb5V", samples(5, 512, high=far), b"\xb5V", (b"-262.144", b"262.1"), limits),
        Lane(b"EMG \xb5V", samples(5, 512, 1), b"mV", (b"5", b"-5"), limits),
        Lane(b"Temp", samples(5, 25, 2), b"degC", (b"34", b"40,5"), (b"-2048", b"2047")),
        Lane(b"Status", samples(5, 512, 3, high=far), b"Boolean", limits, limits, b"Triggers"),
        Lane(name + b" Annotations", marks([0, 2, 4, 6, 8], LISTS), b"", (b"-1", b"1"), limits),
    ]
    path.write_bytes(edf(lanes, duration=b"2", reserved=name + b"+C", width=width))
    found = row(path)
    assert Path(found["output"]).read_bytes() == path.read_bytes()
    record = io.read(path)
    assert (record.kind, record.axes) == ("signal", "T")
    assert record.data.dtype == (np.float32 if width == 2 else np.float64)
    layout = record.context["layout"]
    assert [(c.name, c.unit, c.rate, c.signal) for c in layout] == [
        ("EMG µV", "µV", 256, True),
        ("EMG µV", "mV", 256, True),
        ("Temp", "degC", 12.5, True),
        ("Status", "Boolean", 256, False),
    ]
    gain = -10 / (2 * far + 1)
    np.testing.assert_allclose(
        layout[1].of(record.data), (samples(5, 512, 1).ravel() + far + 1) * gain + 5, rtol=1e-5
    )
    assert record.context["events"] == (
        Event(0.5, 1.25, "Bewegung ü"),
        Event(2, None, "A"),
        Event(2, None, "B"),
        Event(2, 0, ""),
    )
    same = getattr(edfio, f"read_{name.decode().lower()}")(path, header_encoding="latin-1")
    assert [(e.onset, e.duration, e.text) for e in same.annotations if e.text] == [
        (e.onset, e.duration, e.text) for e in record.context["events"] if e.text
    ]
    np.testing.assert_allclose(same.signals[0].data, layout[0].of(record.data), rtol=1e-5)
    assert [s.sampling_frequency for s in same.signals] == [c.rate for c in layout]


@pytest.mark.parametrize("chunk", [1, 10**9])
def test_a_channel_that_was_not_chosen_is_untouched(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.io.edf_layout.CHUNK", chunk)
    lanes = [Lane(b"A", samples(7, 300)), Lane(b"B", samples(7, 300, 1))]
    (tmp_path / "x.edf").write_bytes(edf(lanes))
    record = api.read(tmp_path / "x.edf", context={"channels": ("B",)})
    made = record.with_data(record.data.copy())
    to_batch(made).data[0][...] = 0
    io.write(made, tmp_path / "y.edf")
    back = edfio.read_edf(tmp_path / "y.edf")
    np.testing.assert_array_equal(back.signals[0].digital, samples(7, 300).ravel())
    assert np.abs(back.signals[1].data).max() <= 0.05


def test_gaps_part_the_stretches_and_come_back(tmp_path: Path) -> None:
    lanes = [
        Lane(b"A", samples(4, 100)),
        Lane(b"B", samples(4, 50)),
        Lane(b"EDF Annotations", marks([0, 1, 7.25, 8.25])),
    ]
    (tmp_path / "x.edf").write_bytes(edf(lanes, reserved=b"EDF+D"))
    record = io.read(tmp_path / "x.edf")
    assert [c.breaks for c in record.context["layout"]] == [(200,), (100,)]
    assert [x.shape for x in to_batch(record).data] == [(1, 200), (1, 200), (1, 100), (1, 100)]
    found = row(tmp_path / "x.edf")
    assert Path(found["output"]).read_bytes() == (tmp_path / "x.edf").read_bytes()
    run("denoise", tmp_path / "x.edf", "-o", tmp_path / "y.bdf", "--method", "none")
    assert "+D" in io.read(tmp_path / "y.bdf").meta["edf"].header[:256].decode("latin-1")


def test_bdf_is_written_as_edf_on_request_only(tmp_path: Path) -> None:
    """The step is stated; the other way nothing is lost."""
    limits = (b"-8388608", b"8388607")
    lanes = [
        Lane(b"A", samples(3, 200, high=8388607), b"uV", (b"-262144", b"262144"), limits),
        Lane(b"Status", samples(3, 200, 3), b"", limits, limits),
        Lane(b"BDF Annotations", marks([0, 1, 2], LISTS, 63), b"", (b"-1", b"1"), limits),
    ]
    (tmp_path / "x.bdf").write_bytes(edf(lanes, reserved=b"BDF+C", width=3))
    found = row(tmp_path / "x.bdf", "-o", tmp_path / "y.edf")
    assert (
        "EDF stores 16 bits: values are rounded to steps of at most 4.08 uV" in found["warnings"][0]
    )
    record, narrow = io.read(tmp_path / "x.bdf"), io.read(tmp_path / "y.edf")
    assert narrow.context["events"] == record.context["events"]
    assert [c.rate for c in narrow.context["layout"]] == [200, 200]
    np.testing.assert_allclose(narrow.data[0], record.data[0], atol=2.1)
    np.testing.assert_array_equal(narrow.data[1], record.data[1])
    edfio.read_edf(tmp_path / "y.edf", header_encoding="latin-1")
    wide = row(tmp_path / "y.edf", "-o", tmp_path / "z.bdf")
    assert not any("bits" in warning for warning in wide["warnings"])
    again = io.read(tmp_path / "z.bdf")
    np.testing.assert_allclose(again.data, narrow.data, rtol=1e-6)
    assert again.context["events"] == record.context["events"]
    lanes[1] = replace(lanes[1], records=samples(3, 200, 3, high=8388607))
    (tmp_path / "w.bdf").write_bytes(edf(lanes, reserved=b"BDF+C", width=3))
    said = run("denoise", tmp_path / "w.bdf", "-o", tmp_path / "v.edf", "--method", "none", code=1)
    assert "channel 'Status' needs more than 16 bits" in said.output
    assert not (tmp_path / "v.edf").exists()


def test_what_a_file_lacks_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.edf"
    whole = edf([Lane(b"A", samples(4, 100))])
    path.write_bytes(whole[:-250])
    found = row(path)
    assert "2 of 4 data records are there" in found["warnings"][0]
    back = io.read(tmp_path / "x.denoised.edf")
    assert (back.data.shape, back.meta["notes"]) == ((1, 200), [])
    path.write_bytes(edf([Lane(b"A", samples(4, 100))], count=b"-1"))
    record = io.read(path)
    assert (record.data.shape, record.meta["notes"]) == ((1, 400), [])
    path.write_bytes(edf([Lane(b"A", samples(4, 100))], count=b"-1") + b"\0\0")
    assert "last data record is cut short" in io.read(path).meta["notes"][0]
    path.write_bytes(edf([Lane(b"A", samples(4, 100))], duration=b"0"))
    record = io.read(path)
    assert record.context["layout"][0].rate is None
    assert "state --rate" in record.meta["notes"][0]
    flat = Lane(b"A", samples(4, 100), physical=(b"0", b"0"))
    path.write_bytes(edf([flat, replace(flat, label=b"B", physical=(b"x", b"1"))]))
    record = io.read(path)
    np.testing.assert_array_equal(record.data[0], samples(4, 100).ravel())
    assert [c.unit for c in record.context["layout"]] == ["", ""]
    assert "no calibration" in record.meta["notes"][1]
    out = tmp_path / "out.edf"
    io.write(replace(record, source=None), out)
    assert out.read_bytes() == path.read_bytes()


def test_a_file_without_a_signal_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.edf"
    path.write_bytes(
        edf([Lane(b"EDF Annotations", marks([0, 0], LISTS))], duration=b"0", reserved=b"EDF+C")
    )
    said = run("denoise", path, "--method", "none", code=1)
    assert said.output == f"hush: {path}: holds annotations only, and no signal\n"
    assert [p.name for p in tmp_path.iterdir()] == ["x.edf"]
    path.write_bytes(edf([Lane(b"Status", samples(2, 8))]))
    with pytest.raises(HushError, match="only trigger and status channels"):
        io.read(path)
    gaps = [Lane(b"A", samples(2, 8)), Lane(b"EDF Annotations", [b"\0" * 20] * 2)]
    path.write_bytes(edf(gaps, reserved=b"EDF+D"))
    with pytest.raises(HushError, match="does not say when"):
        io.read(path)


@pytest.mark.parametrize("end", [0, 100, 255, 300, 520])
def test_a_file_cut_in_its_header_gets_one_sentence(end: int, tmp_path: Path) -> None:
    path = tmp_path / "x.edf"
    path.write_bytes(edf([Lane(b"A", samples(4, 100))])[: end or 8])
    with pytest.raises(HushError, match="cut short"):
        io.read(path)


def test_values_beyond_the_header_are_limited_counted_and_said(tmp_path: Path) -> None:
    lane = Lane(b"A", samples(4, 100), physical=(b"-200", b"200"), digital=(b"-2000", b"2000"))
    (tmp_path / "x.edf").write_bytes(edf([lane]))
    record = io.read(tmp_path / "x.edf")
    made = record.with_data(record.data + np.float32(150))
    beyond = int((samples(4, 100) > 500).sum())
    assert f"{beyond} samples of channel 'A' went beyond" in io.notes(made, tmp_path / "y.edf")[0]
    io.write(made, tmp_path / "y.edf")
    assert io.read(tmp_path / "y.edf").data.max() == 200
    assert io.notes(record, tmp_path / "y.edf") == []


def test_a_new_file_states_names_units_rates_and_annotations(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(0, 1e-5, (2, 3000))
    layout = (Channel("EMG", "V", 1000.0, 0, 3000), Channel("ü", "V", 1000.0, 3000, 3000))
    events = (Event(0.25, None, "go"), Event(2.5, 0.1, "stöp"))
    context = {"layout": layout, "events": events}
    record = Record(x, "CT", kind="signal", context=context)
    for name, read in (("x.edf", edfio.read_edf), ("x.bdf", edfio.read_bdf)):
        io.write(record, tmp_path / name)
        same = read(tmp_path / name)
        assert [(s.sampling_frequency, s.physical_dimension) for s in same.signals] == [
            (1000, "uV"),
            (1000, "uV"),
        ]
        back = io.read(tmp_path / name)
        np.testing.assert_allclose(1e-6 * back.data, x, atol=1e-9)
        assert back.context["events"] == events
        assert [(e.onset, e.duration, e.text) for e in same.annotations] == [
            (e.onset, e.duration, e.text) for e in events
        ]
    assert "steps of at most 0.00108 uV" in io.notes(record, tmp_path / "x.edf")[0]


def test_what_edf_cannot_hold_gets_one_sentence(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(0, 1, (2, 300))
    known = {"rate": 100.0}
    refusals = {
        "rate, but that of channel '1' is unknown": Record(x, "CT", kind="signal"),
        "no missing values": Record(np.where(x > 2, np.nan, x), "CT", "signal", context=known),
        "not images": Record(x, "YX"),
        "not the axes QT": Record(x, "QT", kind="signal", context=known),
        "cannot be stated in the eight characters": Record(
            x + 1e9, "CT", kind="signal", context=known
        ),
        "has gaps": Record(
            x,
            "CT",
            kind="signal",
            context={"layout": (Channel("A", "", 1.0, 0, 600, (100,)),)},
        ),
    }
    for sentence, record in refusals.items():
        with pytest.raises(HushError, match=sentence):
            io.check(record, tmp_path / "x.edf")
    with pytest.raises(HushError, match="hold images, not recordings"):
        io.check(small(tmp_path), tmp_path / "x.png")


def small(folder: Path) -> Record:
    """A record of a small file."""
    (folder / "small.edf").write_bytes(edf([Lane(b"A", samples(2, 10))]))
    return io.read(folder / "small.edf")


# -- WFDB --------------------------------------------------------------------------------------

wfdb = pytest.importorskip("wfdb")

FORMATS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16}
FORMATS |= {"212": 12, "310": 10, "311": 10}


def packed(fmt: str, x: np.ndarray) -> bytes:
    """Samples as bytes, bit by bit as the manual says."""
    if fmt == "8":
        return np.diff(x, prepend=x[:1]).astype("i1").tobytes()
    if fmt in ("212", "310", "311"):
        group = 2 if fmt == "212" else 3
        x = np.append(x, np.zeros(-len(x) % group, int))
    raw = b""
    for a, b, c in x.reshape(-1, 3) if fmt in ("310", "311") else ():
        a, b, c = (int(v) & 1023 for v in (a, b, c))
        if fmt == "311":
            raw += (a | b << 10 | c << 20).to_bytes(4, "little")
        else:
            raw += (a << 1 | (c & 31) << 11).to_bytes(2, "little")
            raw += (b << 1 | (c >> 5) << 11).to_bytes(2, "little")
    for a, b in x.reshape(-1, 2) if fmt == "212" else ():
        raw += bytes([a & 255, (a >> 8 & 15) | (b >> 8 & 15) << 4, b & 255])
    simple = {"16": "<i2", "32": "<i4", "61": ">i2"}
    if fmt in simple:
        return x.astype(simple[fmt]).tobytes()
    if fmt == "24":
        return x.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    if fmt in ("80", "160"):
        bits = FORMATS[fmt]
        return (x + 2 ** (bits - 1)).astype(f"<u{bits // 8}").tobytes()
    return raw


def walk(bits: int, count: int = 301, seed: int = 0) -> np.ndarray:
    """Samples that use the whole range, with small differences."""
    bits = min(bits, 20)
    t = np.arange(count)
    wave = (2 ** (bits - 1) - 1) * np.sin(t / 40 if bits > 8 else t / 20)
    noise = np.random.default_rng(seed).integers(-3, 4, count)
    return np.clip(np.rint(wave) + noise, -(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1).astype(int)


def checksum(x: np.ndarray) -> int:
    return int((x.sum() + 2**15) % 2**16 - 2**15)


@pytest.mark.parametrize("runs", [600, 2**19])
def test_every_storage_format_comes_back(
    runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file each, byte by byte; labels with commas, units, baselines and comments are kept."""
    monkeypatch.setattr("hush.io.wfdb._FRAMES", runs)
    head = "x 10 360.5/360(12.5) 300 10:11:12.5 03/04/2020\n"
    signals = {}
    for fmt, bits in FORMATS.items():
        x = walk(8 if fmt == "8" else bits, 300)
        if fmt not in ("8", "310", "311"):
            x[[0, 17]] = -(2 ** (bits - 1))  # missing
        signals[fmt] = x
        raw = b"prolog" * (fmt == "212") + packed(fmt, x)
        (tmp_path / f"x.d{fmt}").write_bytes(raw)
        offset = "+6" * (fmt == "212")
        head += (
            f"x.d{fmt}  {fmt}{offset} 41.5(-7)/uV\t{bits} 0 {x[0]} {checksum(x)} 0 A, B {fmt} \n"
        )
    head += "# a comment\n#<age>: 44\n"
    (tmp_path / "x.hea").write_text(head)
    (tmp_path / "x.atr").write_bytes(b"\x01\x04\0\0")
    (tmp_path / "x.txt").write_bytes(b"no annotations")
    monkeypatch.chdir(tmp_path)
    found = row("x.hea")
    assert found["output"] == "x_denoised.hea"
    assert (tmp_path / "x_denoised.hea").read_text() == head.replace("x.d", "x_denoised.d").replace(
        "x 10", "x_denoised 10"
    )
    assert (tmp_path / "x_denoised.atr").read_bytes() == b"\x01\x04\0\0"
    names = sorted(p.name for p in tmp_path.iterdir() if "denoised" in p.name)
    assert names == sorted(
        ["x_denoised.atr", "x_denoised.hea", *(f"x_denoised.d{f}" for f in FORMATS)]
    )
    record = io.read(tmp_path / "x.hea")
    for i, (fmt, x) in enumerate(signals.items()):
        raw = (tmp_path / f"x.d{fmt}").read_bytes()
        assert (tmp_path / f"x_denoised.d{fmt}").read_bytes() == raw
        values = np.where(x == -(2 ** (FORMATS[fmt] - 1)), np.nan, (x + 7) / 41.5)
        np.testing.assert_allclose(record.data[i], values if fmt != "8" else (x + 7) / 41.5)
    assert [(c.name, c.unit, c.rate) for c in record.context["layout"]] == [
        (f"A, B {fmt}", "uV", 360.5) for fmt in FORMATS
    ]
    same = wfdb.rdrecord("x_denoised")
    np.testing.assert_allclose(same.p_signal.T, record.data)
    io.write(replace(record, source=None), tmp_path / "to" / "a.b.hea")
    np.testing.assert_allclose(wfdb.rdrecord(str(tmp_path / "to" / "a.b")).p_signal.T, record.data)


def test_samples_that_a_format_cannot_hold(tmp_path: Path) -> None:
    """Differences get a wider format, which is said; other samples are limited and counted."""
    x = walk(8)
    (tmp_path / "x.dat").write_bytes(packed("8", x))
    (tmp_path / "y.dat").write_bytes(packed("212", walk(12)))
    (tmp_path / "x.hea").write_text(
        f"x 2 100 301\nx.dat 8 1 8 0 {x[0]} {checksum(x)} 0 A\ny.dat 212 2000 12 0 0 0 0 B\n"
    )
    record = io.read(tmp_path / "x.hea")
    assert [c.unit for c in record.context["layout"]] == ["mV", "mV"]
    data = record.data.copy()
    data[0, 50] += 300
    data[1, 7] = np.nan
    data[1, 9:11] = 5
    made = replace(record, data=data)
    assert io.notes(made, tmp_path / "z.hea") == [
        "Storage format 8 is written as 16, without loss.",
        "2 samples of channel 'B' went beyond the range of the storage format and were limited "
        "to it.",
    ]
    io.write(made, tmp_path / "z.hea")
    back = wfdb.rdrecord(str(tmp_path / "z"))
    data[1, 9:11] = 2047 / 2000
    np.testing.assert_allclose(back.p_signal.T, data, atol=1e-4)
    assert back.fmt == ["16", "212"]


def test_frames_of_several_samples_are_read_at_full_rate(tmp_path: Path) -> None:
    """In a file of three signals, one of them with four samples a frame."""
    a, b, c = walk(12, 100), walk(12, 400, 1), walk(12, 100, 2)
    frames = np.concatenate([a[:, None], b.reshape(100, 4), c[:, None]], axis=1)
    (tmp_path / "x.dat").write_bytes(packed("212", frames.reshape(-1)))
    lines = ["x 3 125 100\n"]
    for name, spf, x in (("A", "", a), ("Status", "x4", b), ("", "", c)):
        lines.append(f"x.dat 212{spf} 200 12 0 {x[0]} {checksum(x)} 0 {name}\n")
    (tmp_path / "x.hea").write_text("".join(lines))
    record = io.read(tmp_path / "x.hea")
    assert record.axes == "T"
    layout = record.context["layout"]
    assert [(ch.name, ch.rate, ch.count, ch.signal) for ch in layout] == [
        ("A", 125, 100, True),
        ("Status", 500, 400, False),
        ("", 125, 100, True),
    ]
    np.testing.assert_allclose(layout[1].of(record.data), b / 200, rtol=1e-6)
    row(tmp_path / "x.hea")
    assert (tmp_path / "x_denoised.dat").read_bytes() == (tmp_path / "x.dat").read_bytes()


def segments(folder: Path, names: Sequence[str] = ("A", "B")) -> None:
    """A record of two segments with a stretch without samples between them."""
    (folder / "r.hea").write_text("r/3 2 100 250 12:00:00\nr01 100\n~ 50\nr02 100\n# whole\n")
    for k in (1, 2):
        x = np.stack([walk(16, 100, k), walk(16, 100, k + 5)], 1)
        (folder / f"r0{k}.dat").write_bytes(packed("16", x.reshape(-1)))
        rows = [
            f"r0{k}.dat 16 {100 * k} 16 0 {x[0, i]} {checksum(x[:, i])} 0 {name}\n"
            for i, name in enumerate(names if k == 2 else ("A", "B"))
        ]
        (folder / f"r0{k}.hea").write_text(f"r0{k} 2 100 100\n{''.join(rows)}")


def test_segments_come_back_as_segments(tmp_path: Path) -> None:
    segments(tmp_path)
    record = io.read(tmp_path / "r.hea")
    assert record.data.shape == (2, 250)
    assert np.isnan(record.data[:, 100:150]).all()
    assert np.isfinite(record.data).sum() == 400
    run("denoise", tmp_path / "r.hea", "-o", tmp_path / "out" / "s.hea", "--method", "none")
    made = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    old = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert made == {
        name.replace("r", "s", 1): raw
        if name.endswith("dat")
        else raw.replace(b"r", b"s", 1).replace(b"r0", b"s0")
        for name, raw in old.items()
    }
    segments(tmp_path, ("A", "C"))
    with pytest.raises(HushError, match=r"one by one: r01.hea, r02.hea"):
        io.read(tmp_path / "r.hea")
    (tmp_path / "r02.hea").unlink()
    with pytest.raises(HushError, match=r"segment r02.hea beside it, which is missing"):
        io.read(tmp_path / "r.hea")


def test_in_a_folder_a_record_in_segments_is_one(tmp_path: Path) -> None:
    segments(tmp_path)
    done = run("denoise", tmp_path, "-o", f"{tmp_path}/out/", "--method", "none")
    assert done.stdout.startswith(f"{tmp_path / 'r.hea'} → ")
    assert len(list((tmp_path / "out").iterdir())) == 5
    run("denoise", tmp_path / "r.hea", "--method", "none")
    assert sorted(p.name for p in tmp_path.glob("r_denoised*"))[0] == "r_denoised.hea"
    again = run("denoise", tmp_path, "-o", f"{tmp_path}/again/", "--method", "none")
    assert "r_denoised" not in again.stdout  # an earlier result is no input


def test_a_record_without_gain_keeps_its_counts(tmp_path: Path) -> None:
    x = walk(12)
    (tmp_path / "x.dat").write_bytes(packed("16", x))
    for line in ("x.dat 16", "x.dat 16 0/mV 12 0 0 0 0 EMG"):
        (tmp_path / "x.hea").write_text(f"x 1\n{line}\n")
        record = io.read(tmp_path / "x.hea")
        np.testing.assert_array_equal(record.data[0], x)
        assert record.context["layout"][0].unit == ""
        assert "no gain; values are as stored" in record.meta["notes"][0]
        io.write(replace(record, source=None), tmp_path / "to" / "x.hea")
        assert (tmp_path / "to" / "x.dat").read_bytes() == (tmp_path / "x.dat").read_bytes()


def test_what_is_missing_in_a_record_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_text("x 1 100 300\nx.dat 16 200 16 0 0 0 0 A\n")
    with pytest.raises(HushError, match=r"needs its signal file x.dat beside it, which is missing"):
        io.read(tmp_path / "x.hea")
    (tmp_path / "x.dat").write_bytes(packed("16", walk(16, 120)))
    with pytest.raises(HushError, match=r"x.dat is cut short: it holds 120 of 300 frames"):
        io.read(tmp_path / "x.hea")
    said = run("denoise", tmp_path / "x.dat", "--method", "none", code=1)
    assert f"x.dat: belongs to a WFDB record; give its header, {tmp_path / 'x.hea'}" in said.output
    (tmp_path / "x.hea").write_text("x 1 100 100\nx.dat 99 200\n")
    with pytest.raises(HushError, match="in format 99, which hush cannot read"):
        io.read(tmp_path / "x.hea")


def test_other_files_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of a record appear, or none; a stranger's samples stay."""
    segments(tmp_path)
    record = io.read(tmp_path / "r01.hea")
    (tmp_path / "y.dat").write_bytes(b"mine")
    with pytest.raises(HushError, match=r"y.dat already exists"):
        io.check(record, tmp_path / "y.hea")
    before = sorted(p.name for p in tmp_path.iterdir())

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hush.io.wfdb._write_part", broken)
    with pytest.raises(HushError, match="disk is full"):
        io.write(record, tmp_path / "z.hea")
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    (tmp_path / "q.hea").write_text("q 2 100 100\n" + (tmp_path / "r01.hea").read_text()[13:])
    own = io.read(tmp_path / "q.hea")
    assert own.meta["files"] == ("r01.dat",)
    with pytest.raises(HushError, match=r"r01.dat is part of the input"):
        io.check(own, tmp_path / "r01.hea")


def test_a_recording_of_another_format_becomes_a_record(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(3, 1, 1500).astype(np.float32)
    x[7] = np.nan
    layout = (
        Channel("EMG left", "µV", 1000.0, 0, 1000),
        Channel("", "mm Hg", 500.0, 1000, 500),
    )
    record = Record(
        x, "T", kind="signal", context={"layout": layout, "events": (Event(0, None, "a"),)}
    )
    io.write(record, tmp_path / "x.hea")
    same = wfdb.rdrecord(str(tmp_path / "x"), smooth_frames=False)
    assert (same.sig_name, same.units, same.fs) == (["EMG left", "2"], ["uV", "mmHg"], 500)
    np.testing.assert_allclose(np.concatenate(same.e_p_signal), x, atol=1e-6)
    assert "annotation is left out" in io.notes(record, tmp_path / "x.hea")[0]
    back = io.read(tmp_path / "x.hea")
    np.testing.assert_allclose(back.data, x, atol=1e-6)
    whole = Record(
        np.arange(-9, 9, dtype=np.int16)[None], "CT", kind="signal", context={"rate": 9.0}
    )
    io.write(whole, tmp_path / "y.hea")
    np.testing.assert_array_equal(io.read(tmp_path / "y.hea").data, whole.data)
    with pytest.raises(HushError, match="last equal times"):
        io.check(
            replace(record, context={"layout": (layout[0], replace(layout[1], rate=300.0))}),
            tmp_path / "z.hea",
        )


# -- NumPy archives and MNE --------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["time first", "channels first", "one channel"])
def test_an_archive_with_a_rate_is_a_recording(shape: str, tmp_path: Path) -> None:
    """Names, units and rate are those of the file; all arrays come back, in their order."""
    x = np.random.default_rng(0).integers(-99, 99, (400, 3)).astype(np.int16)
    x = {"time first": x, "channels first": np.ascontiguousarray(x.T), "one channel": x[:, 0]}[
        shape
    ]
    names = np.array(["A", "B", "C"][: 1 if x.ndim == 1 else 3])
    others = {"fs": np.float64(2148.148), "columns": names, "units": np.array("mV")}
    np.savez(tmp_path / "x.npz", **others, rep2=x, rep3=x[:10], note=np.array(["a", "b"]))
    found = row(f"{tmp_path / 'x.npz'}:rep2")
    assert found["kind"] == "signal"
    before, after = np.load(tmp_path / "x.npz"), np.load(found["output"])
    assert before.files == after.files
    for key in before.files:
        np.testing.assert_array_equal(before[key], after[key])
        assert before[key].dtype == after[key].dtype
    record = io.read(Path(f"{tmp_path / 'x.npz'}:rep2"))
    assert [(c.name, c.unit, c.rate) for c in record.context["layout"]] == [
        (str(name), "mV", 2148.148) for name in names
    ]
    assert record.data.shape == (len(names), 400)
    np.savez_compressed(tmp_path / "y.npz", sfreq=np.int64(128), adu=x)
    assert api.read(tmp_path / "y.npz").context["layout"][0].rate == 128


def test_archives_without_a_rate_are_as_before(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((8, 9)), fs=np.zeros(3))
    assert api.read(Path(f"{tmp_path / 'x.npz'}:a")).kind == "image"
    np.savez(tmp_path / "y.npz", a=np.zeros((4, 8, 9)), fs=np.float64(1))
    assert api.read(Path(f"{tmp_path / 'y.npz'}:a")).kind == "image"
    np.savez(tmp_path / "z.npz", a=np.zeros(9), b=np.zeros(9), fs=np.float64(1))
    with pytest.raises(HushError, match="holds 3 arrays"):
        io.read(tmp_path / "z.npz")


def test_recordings_are_written_to_archives_with_their_rate(tmp_path: Path) -> None:
    lanes = [Lane(b"A", samples(4, 100)), Lane(b"B", samples(4, 100, 1), b"mV")]
    (tmp_path / "x.edf").write_bytes(edf(lanes))
    record = io.read(tmp_path / "x.edf")
    io.write(record, tmp_path / "x.npz")
    back = io.read(tmp_path / "x.npz")
    np.testing.assert_array_equal(back.data, record.data)
    assert back.context["layout"] == record.context["layout"]
    (tmp_path / "y.edf").write_bytes(edf([*lanes, Lane(b"C", samples(4, 50))]))
    for name in ("y.npy", "y.npz"):
        with pytest.raises(HushError, match="one array cannot hold"):
            io.check(io.read(tmp_path / "y.edf"), tmp_path / name)


def test_a_raw_is_denoised_and_given_back() -> None:
    mne = pytest.importorskip("mne")
    x = np.random.default_rng(0).normal(0, 1e-5, (3, 2000))
    x[2] = np.arange(2000) // 500
    info = mne.create_info(["EMG 1", "EEG", "STI 014"], 500.0, ["emg", "eeg", "stim"], "error")
    raw = mne.io.RawArray(x, info, first_samp=100, verbose="error")
    raw.set_meas_date(1e9)
    start = raw.annotations.orig_time
    raw.set_annotations(mne.Annotations([1.0, 2.2], [0.5, 0], ["go", "EDGE boundary"], start))
    raw.info["bads"] = ["EEG"]
    done = hush.run(raw, method="none")
    np.testing.assert_array_equal(done.data, x)
    np.testing.assert_array_equal(hush.denoise(raw, method="none"), x)
    layout = done.record.context["layout"]
    assert [(c.name, c.unit, c.rate, c.signal) for c in layout] == [
        ("EMG 1", "V", 500, True),
        ("EEG", "V", 500, True),
        ("STI 014", "", 500, False),
    ]
    joined = raw.time_as_index(2.2 - raw.first_time)[0]
    assert all(c.breaks == (joined,) for c in layout)
    made = done.to_raw()
    np.testing.assert_array_equal(made.get_data(), x)
    assert made.info["bads"] == ["EEG"]
    assert (made.ch_names, made.first_samp) == (raw.ch_names, 100)
    assert made.annotations == raw.annotations
    assert made.get_channel_types() == raw.get_channel_types()
    first = hush.run(raw, method="wiener", context={"channels": "1"}).data
    assert [bool((first[i] != x[i]).any()) for i in range(3)] == [True, False, False]
    with pytest.raises(HushError, match="have no nonsense"):
        hush.run(raw, method="none", context={"nonsense": 1})


def test_a_result_read_with_other_channels_has_their_gaps_and_limits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (2, 4000))
    x[0] = np.clip(0.5 + x[0], 0, 1)
    x[0, 1000:1600] = 0
    record = hush.Record(x, "CT", kind="signal", context={"rate": 1000.0, "channels": "1"})
    once = hush.run(record, method="wiener")
    other = hush.run(once.noisy, method="wiener", context={"channels": "2"})
    fresh = hush.run(record, method="wiener", context={"channels": "2"})
    np.testing.assert_array_equal(other.data[1], fresh.data[1])


def test_a_file_becomes_a_raw(tmp_path: Path) -> None:
    mne = pytest.importorskip("mne")
    lanes = [
        Lane(b"A", samples(4, 100)),
        Lane(b"B", samples(4, 100, 1), b"cm"),
        Lane(b"EDF Annotations", marks([0, 1, 2, 3], LISTS)),
    ]
    (tmp_path / "x.edf").write_bytes(edf(lanes, reserved=b"EDF+C"))
    made = hush.run(tmp_path / "x.edf", method="none").to_raw()
    same = mne.io.read_raw_edf(tmp_path / "x.edf", verbose="error", encoding="latin1")
    np.testing.assert_allclose(made.get_data()[0], same.get_data()[0], rtol=1e-5)
    assert made.get_channel_types() == ["bio", "misc"]
    assert list(made.annotations.description[:2]) == ["Bewegung ü", "A"]
    (tmp_path / "y.edf").write_bytes(edf([lanes[0], Lane(b"C", samples(4, 50))]))
    done = hush.run(tmp_path / "y.edf", method="none")
    with pytest.raises(HushError, match="one known rate"):
        done.to_raw()


def test_channels_are_found_without_the_unit_in_their_names() -> None:
    names = ["ECG I [mV]", "ECG II [mV]", "torque (Nm)", "ECG I"]
    assert chosen("ECG II, torque", names) == {1, 2}
    assert chosen("ECG I", names) == {3}  # as it is written comes first
    assert chosen("ECG I [mV]", names) == {0}
    with pytest.raises(HushError, match="no channel 'mV'"):
        chosen("mV", names)
