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
    refused = run("denoise", tmp_path / "x.edf", "-o", tmp_path / "y.bdf", "--method", "none")
    assert "+D" in io.read(tmp_path / "y.bdf").meta["edf"].header[:256].decode("latin-1")
    assert refused.exit_code == 0


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
        io.check(io_read(tmp_path), tmp_path / "x.png")
    assert hush


def io_read(folder: Path) -> Record:
    """A record of a small file."""
    (folder / "small.edf").write_bytes(edf([Lane(b"A", samples(2, 10))]))
    return io.read(folder / "small.edf")
