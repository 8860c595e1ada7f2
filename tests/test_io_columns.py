"""Text in columns: what is above the numbers and how they are written comes back as given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hush import api, io
from hush.cli import main
from hush.errors import HushError
from hush.io.columns_head import cells_of
from hush.io.columns_style import style_of
from hush.record import Record
from hush.recording import Channel, Event


def row(*arguments: object) -> dict[str, Any]:
    """What ``hush denoise --method none --json`` says about a file."""
    line = ["denoise", *map(str, arguments), "--method", "none", "--json"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(*columns: Any, sep: str = ",", end: str = "\n") -> str:
    """A line for each row of columns of texts."""
    return "".join(sep.join(cells) + end for cells in zip(*columns, strict=True))


def texts(template: str, count: int = 40, seed: int = 0, scale: float = 100) -> list[str]:
    """Random numbers as text."""
    return [template % v for v in np.random.default_rng(seed).normal(0, scale, count)]


TIME = ["%.3f" % (i / 1000) for i in range(40)]
MS = [f"{i}.0" for i in range(40)]
A, B = texts("%.2f"), texts("%d", seed=1)
JSON = (
    '# {"00:07:80": {"sampling rate": 1000, "column": ["nSeq", "DI", "CH1"], "label": ["A1"], '
    '"channels": [1]}}\n# EndOfHeader\n'
)
FILES: dict[str, tuple[str, list[tuple[str, str, float | None, bool]]]] = {
    "csv": (
        "time,EMG (uV),counts\n" + lines(TIME, A, B),
        [("time", "", 1000, False), ("EMG (uV)", "uV", 1000, True), ("counts", "", 1000, True)],
    ),
    "no names, no time": (lines(A, B), [("", "", None, True), ("", "", None, True)]),
    "time without a name": (
        lines(TIME, A),
        [("", "", 1000, False), ("", "", 1000, True)],
    ),
    "comments among the numbers and below": (
        "time,a\n"
        + lines(TIME[:20], A[:20])
        + "# event, at 20\n# another\n"
        + lines(TIME[20:33], A[20:33])
        + "  % third\n"
        + lines(TIME[33:], A[33:])
        + "# end\n\n// really\n",
        [("time", "", 1000, False), ("a", "", 1000, True)],
    ),
    "decimal comma, Windows": (
        "\ufeffZeit [ms];Kanal 1 [mV]\r\n"
        + lines(MS, texts("%.4f"), sep=";", end="\r\n").replace(".", ","),
        [("Zeit [ms]", "ms", 1000, False), ("Kanal 1 [mV]", "mV", 1000, True)],
    ),
    "tabs, units below the names": (
        "t\tECG\tResp\ns\tmV\tV\n" + lines(TIME, A, texts("%.3e"), sep="\t"),
        [("t", "s", 1000, False), ("ECG", "mV", 1000, True), ("Resp", "V", 1000, True)],
    ),
    "OpenSignals, a tab at the end": (
        JSON + lines([str(i % 16) for i in range(40)], ["0"] * 40, B, [""] * 40, sep="\t"),
        [
            ("nSeq", "", 1000, False),
            ("DI", "", 1000, False),
            ("A1", "", 1000, True),
            ("", "", 1000, False),
        ],
    ),
    "aligned by spaces, a comment": (
        "% fs = 2 kHz\n% EMG1 EMG2\n"
        + lines(texts("%9.3f"), texts("%12.5f", seed=3, scale=1), sep=""),
        [("EMG1", "", 2000, True), ("EMG2", "", 2000, True)],
    ),
    "a space after each comma": (
        "EMG, Status\n" + lines(A, B, sep=", "),
        [("EMG", "", None, True), ("Status", "", None, False)],
    ),
    "quoted": (
        '"Time (s)","EMG, left"\n' + lines([f'"{t}"' for t in TIME], [f'"{a}"' for a in A]),
        [("Time (s)", "s", 1000, False), ("EMG, left", "", 1000, True)],
    ),
    "an index of pandas": (
        ",0,1\n" + lines([str(i) for i in range(40)], A, texts("%.3f", seed=4)),
        [("", "", None, False), ("0", "", None, True), ("1", "", None, True)],
    ),
    "as savetxt writes": (
        lines(texts("%.18e"), texts("%.18e", seed=5), sep=" "),
        [("", "", None, True), ("", "", None, True)],
    ),
    "as repr writes": (
        "EMG\n" + lines([repr(x / 7e4) for x in range(1, 41)]),
        [("EMG", "", None, True)],
    ),
    "interval and titles": (
        "Interval=\t0.001 s\nChannelTitle=\tLeft\tRight\n" + lines(TIME, A, B, sep="\t"),
        [("", "", 1000, False), ("Left", "", 1000, True), ("Right", "", 1000, True)],
    ),
    "missing": (
        "time,a,b\n" + lines(TIME, [*A[:5], "", "", *A[7:]], ["NA", *B[1:-1], "NA"]),
        [("time", "", 1000, False), ("a", "", 1000, True), ("b", "", 1000, True)],
    ),
    "words": (
        "clock;state;EMG\n"
        + lines([f"12:00:{i:02}" for i in range(40)], ["rést", "m;ove"][:1] * 40, A, sep=";"),
        [("EMG", "", None, True)],
    ),
    "an event in the first line only": (
        "time,ecg,event\n" + lines(TIME, A, ['"start, go"', *[""] * 39]),
        [("time", "", 1000, False), ("ecg", "", 1000, True)],
    ),
    "events in a few lines, one a number": (
        "time;ecg;note\ns;mV;\n"
        + lines(TIME, A, [*[""] * 20, "stârt", "on", "3", *[""] * 17], sep=";").replace(".", ","),
        [("time", "s", 1000, False), ("ecg", "mV", 1000, True)],
    ),
    "the time of day, and no notes": (
        "clock,EMG,note\n" + lines([f"12:00:{i:02}" for i in range(40)], A, [""] * 40),
        [("EMG", "", None, True), ("note", "", None, False)],
    ),
    "the time of day, and one note": (
        "clock,EMG,note\n" + lines([f"12:00:{i:02}" for i in range(40)], A, ["go", *[""] * 39]),
        [("EMG", "", None, True)],
    ),
    "nanoseconds since 1970": (
        "a,timestamp_ns\n" + lines(A, [str(17 * 10**17 + 2000003 * i) for i in range(40)]),
        [("a", "", 500, True), ("timestamp_ns", "", 500, False)],
    ),
    "one column, old Mac": ("# Labels: ECG\r" + lines(B, end="\r"), [("ECG", "", None, True)]),
    "signed": ("a\tb\n" + lines(texts("%+.2f"), texts("%+d"), sep="\t"), [
        ("a", "", None, True), ("b", "", None, True),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ends", ["", "\n\n"], ids=["no end", "blank lines"])
@pytest.mark.parametrize("chunk", [64, 2**22])
def test_a_file_comes_back_byte_by_byte(
    name: str, ends: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.io.columns_parse.CHUNK", chunk)
    monkeypatch.setattr("hush.io.columns._ROWS", 7)
    text, layout = FILES[name]
    newline = "\r\n" if "\r\n" in text else "\n" if "\n" in text else "\r"
    raw = (text.rstrip("\r\n") + ends.replace("\n", newline)).encode()
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    found = row(path, *([] if layout[-1][2] else ["--rate", 500]))
    assert Path(found["output"]).read_bytes() == raw
    record = io.read(path)
    assert (record.kind, record.axes, record.data.dtype) == ("signal", "CT", np.float64)
    got = record.context["layout"]
    assert [(c.name, c.unit, c.rate, c.signal) for c in got] == layout


def test_comments_are_found_wherever_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "time,a\r\n"
    for i, (t, a) in enumerate(zip(TIME, A, strict=True)):
        text += f"# {i}\r\n" * (i in (7, 8, 21)) + f"{t},{a}\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode())
    for chunk in (5, 16, 40, 64):
        monkeypatch.setattr("hush.io.columns_parse.CHUNK", chunk)
        monkeypatch.setattr("hush.io.columns._ROWS", 9)
        record = io.read(tmp_path / "a.csv")
        io.write(record, tmp_path / "b.csv")
        assert (tmp_path / "b.csv").read_bytes() == text.encode()


def test_numbers_are_rounded_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,a,n,v\n" + lines(TIME, A, B, ["0.5", "2.25"] * 20))
    record = io.read(tmp_path / "x.csv")
    data = record.data.copy()
    data[1:] += 0.0312345
    data[2, 0] = -0.2
    io.write(replace(record, data=data), tmp_path / "y.csv")
    cells = [line.split(",") for line in (tmp_path / "y.csv").read_text().split("\n")[1:-1]]
    assert [c[0] for c in cells] == TIME
    assert cells[0][1:3] == [f"{float(A[0]) + 0.0312345:.2f}", "0"]
    assert [c[2] for c in cells[1:]] == B[1:]
    assert cells[0][3] == "0.53"
    assert cells[1][3] == "2.28"


def test_times_count_more_than_a_rate_in_the_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("# sampling rate = 500 Hz\ntime,EMG\n" + lines(TIME, A))
    record = io.read(tmp_path / "x.csv")
    assert record.context["layout"][1].rate == 1000
    assert "say 500 samples a second, the column of times 1000" in record.meta["notes"][0]


def test_slow_channels_keep_their_rows(tmp_path: Path) -> None:
    """Values in every 8th row only, one of them missing: nothing is interpolated."""
    time = ["%.3f" % (i / 1000) for i in range(400)]
    fast, slow = texts("%.3f", 400), texts("%.1f", 400, 1)
    column = [s if i % 8 == 3 and i != 83 else "" for i, s in enumerate(slow)]
    text = "time,EMG,Resp\n" + lines(time, fast, column)
    (tmp_path / "x.csv").write_text(text)
    found = row(tmp_path / "x.csv")
    assert Path(found["output"]).read_text() == text
    assert "every 8th line: 125 samples a second" in found["warnings"][0]
    record = io.read(tmp_path / "x.csv")
    assert record.axes == "T"
    resp = record.context["layout"][2]
    assert (resp.rate, resp.count) == (125, 50)
    values = resp.of(record.data)
    assert np.flatnonzero(np.isnan(values)).tolist() == [10]
    np.testing.assert_array_equal(np.delete(values, 10), np.delete(np.float64(slow[3::8]), 10))


def test_gaps_in_the_times_part_stretches(tmp_path: Path) -> None:
    time = [f"{(i + 500 * (i >= 30)) / 100:.2f}" for i in range(80)]
    (tmp_path / "x.csv").write_text("time;EMG\n" + lines(time, texts("%.3f", 80), sep=";"))
    record = io.read(tmp_path / "x.csv")
    assert [(c.rate, c.breaks) for c in record.context["layout"]] == [(100, (30,))] * 2
    assert Path(row(tmp_path / "x.csv")["output"]).read_bytes() == (tmp_path / "x.csv").read_bytes()
    with pytest.raises(HushError, match="has gaps"):
        io.check(record, tmp_path / "x.edf")


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [("time", "0.002", 500), ("ms", "2", 500), ("time_ms", "0.5", 2000), ("Time (us)", "250", 4000),
     ("timestamp", "0.0004655", None), ("time", "1", None), ("seconds", "2", 0.5)],
)  # fmt: skip
def test_the_time_tells_the_rate(name: str, step: str, rate: float | None, tmp_path: Path) -> None:
    digits = len(step.partition(".")[2])
    time = [f"{i * float(step):.{digits}f}" for i in range(40)]
    (tmp_path / "x.csv").write_text(f"{name},EMG\n" + lines(time, A))
    record = io.read(tmp_path / "x.csv")
    got = record.context["layout"][1].rate
    if name == "timestamp":
        assert got == pytest.approx(1 / float(step), rel=1e-5)
    else:
        assert got == rate
    assert any("--rate" in note for note in record.meta["notes"]) == (got is None)


@pytest.mark.parametrize(
    ("name", "start", "step", "rate"),
    [("unix", 1.7e9, 0.002, 500), ("date", 1.7e12, 4, 250), ("timestamp_us", 1.7e15, 250, 4000),
     ("x", 1.7e18, 2e6, 500), ("x", 3, 5, None)],
)  # fmt: skip
def test_a_column_that_rises_evenly_is_a_clock(
    name: str, start: float, step: float, rate: float | None, tmp_path: Path
) -> None:
    """Times since 1970 tell their unit by their size."""
    time = [f"{start + i * step:.3f}" for i in range(40)]
    (tmp_path / "x.csv").write_text(f"{name},EMG\n" + lines(time, A))
    record = io.read(tmp_path / "x.csv")
    assert [(c.rate, c.signal) for c in record.context["layout"]] == [(rate, False), (rate, True)]
    assert [n.rpartition("; ")[2] for n in record.meta["notes"]] == ["state --rate."] * (not rate)


def test_channels_too_far_apart_are_both_named(tmp_path: Path) -> None:
    """The ordinary channel is not the one to blame."""
    (tmp_path / "x.csv").write_text("a,b\n" + lines(A, texts("%.0f", seed=3, scale=1e18)))
    line = ["denoise", str(tmp_path / "x.csv"), "--rate", "500", "--noise", "gaussian:1"]
    done = CliRunner().invoke(main, line)
    assert "values of up to 1e+19 beside others of up to" in " ".join(done.output.split())


@pytest.mark.parametrize("name", ["date", "epoch", "x"])
def test_a_column_that_does_not_rise_is_no_clock(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{name},EMG\n" + lines(B, A))
    assert all(c.signal for c in io.read(tmp_path / "x.csv").context["layout"])


def test_rounded_times_tell_the_simplest_rate(tmp_path: Path) -> None:
    """Of 2148.148 Hz in milliseconds, where neighbours have the same time."""
    time = [f"{i / 2148.148:.3f}" for i in range(20000)]
    (tmp_path / "x.csv").write_text("t,EMG\n" + lines(time, texts("%d", 20000)))
    layout = io.read(tmp_path / "x.csv").context["layout"]
    assert layout[1].rate == pytest.approx(2148.148, rel=1e-4)
    assert layout[1].breaks == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n3,4\n5\n6,7\n", "line 4 has 1 column; the lines above have 2"),
        ("a b\n1 2\n3 4\n5 6 7\n", "line 4 has 3 columns"),
        ("1,2\n3,4\n\n5,6\n", "line 3 is empty"),
        ("1\n2\n\n4\n", "line 3 is empty"),
        ("1\n1,2\n3,4\n5,6\n", ""),
        ("1,2,3\n1,2\n3,4\n5,6\n", "line 1 has 3 columns, but the next has 2"),
        ("t,EMG\n0.1,1\n0.2,2\n0.3,oops\n", "line 4 has 'oops' in column 'EMG', not a number"),
        ("1 2\n2 x\n3 4\n", "line 2 has 'x' in column '2', not a number"),
        ("just words\nand more of them\n", "holds no columns of numbers"),
        ("\n \n", "holds no lines of numbers"),
        ("time\n0.1\n0.2\n0.3\n", "only times and marks"),
        (3 * (",".join(["0.5"] * 600) + "\n"), "transpose the file"),
    ],
)
def test_a_wrong_file_gets_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    if not sentence:
        io.read(tmp_path / "x.csv")  # a single number above the columns is a header
        return
    with pytest.raises(HushError, match=sentence):
        io.read(tmp_path / "x.csv")
    (tmp_path / "y.csv").write_bytes("1,2\n".encode("utf-16"))
    with pytest.raises(HushError, match="UTF-16"):
        io.read(tmp_path / "y.csv")


def test_words_far_below_the_head_are_named_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a column holds is decided by the first lines; the rest has to agree."""
    monkeypatch.setattr("hush.io.columns._HEAD", 256)
    (tmp_path / "x.csv").write_text("t,EMG,note\n" + lines(TIME, A, [*[""] * 35, *["go"] * 5]))
    with pytest.raises(HushError, match="line 37 has 'go' in column 'note', not a number"):
        io.read(tmp_path / "x.csv")


def test_only_text_with_a_rate_is_found_in_folders(tmp_path: Path) -> None:
    """Not every list of numbers beside other files is a recording."""
    (tmp_path / "emg.csv").write_text("time,EMG\n" + lines(TIME, A))
    (tmp_path / "ecg.txt").write_text("# Sampling Rate (Hz):= 1000\n" + lines(A))
    (tmp_path / "table.csv").write_text("mean,sd\n1,2\n3,4\n")
    (tmp_path / "README.txt").write_text("Read 2 files.\n")
    found = [p.name for p in sorted(tmp_path.iterdir()) if io.recognised(p)]
    assert found == ["ecg.txt", "emg.csv"]


def test_a_recording_of_another_format_gets_names_and_times(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(0, 1, 750).astype(np.float32)
    layout = (Channel("EMG", "uV", 1000.0, 0, 500), Channel("a,b", "", 500.0, 500, 250))
    context = {"layout": layout, "events": (Event(0.1, None, "go"),)}
    record = Record(x, "T", kind="signal", context=context)
    for name in ("x.csv", "x.tsv", "x.txt"):
        io.write(record, tmp_path / name)
        back = io.read(tmp_path / name)
        np.testing.assert_array_equal(back.data[500:].astype(np.float32), x)
        got = back.context["layout"]
        assert [(c.name, c.rate) for c in got] == [
            ("time (s)", 1000),
            ("EMG (uV)", 1000),
            ("a,b", 500),
        ]
    assert "annotation is left out" in io.notes(record, tmp_path / "x.csv")[0]
    mixed = replace(record, context={"layout": (layout[0], replace(layout[1], rate=300.0))})
    with pytest.raises(HushError, match="another rate or length"):
        io.check(mixed, tmp_path / "x.csv")
    csv = io.read(tmp_path / "x.csv")
    io.write(replace(csv, source=None), tmp_path / "y.tsv")
    np.testing.assert_array_equal(io.read(tmp_path / "y.tsv").data, csv.data)


def test_python_reads_text_with_a_rate(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(lines(A, B))
    record = api.read(tmp_path / "x.csv", context={"rate": 1000.0})
    assert record.context["rate"] == 1000


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.integers(0, 9), st.booleans())
def test_a_style_writes_what_it_was_made_of(
    values: list[float], digits: int, exponent: bool
) -> None:
    form = f"%.{digits}{'e' if exponent else 'f'}"
    cells = [form % (v + 0.0) for v in values]
    cells = [c.lstrip("-") if float(c) == 0 else c for c in cells]
    style = style_of(cells)
    assert style.texts(np.array([float(c) for c in cells])) == cells
    exact = [repr(v + 0.0) for v in values]
    back = [float(t) for t in style_of(exact).texts(np.array(values))]
    assert back == values


def test_cells_with_quotes_take_time_in_proportion_to_their_number() -> None:
    cells = [f'"{i},{i}"' for i in range(20_000)]
    assert cells_of(",".join(cells), ",") == cells
    assert cells_of('a,"b;c",,"', ",") == ['a,"b;c",,"']  # one quote too many
    assert cells_of('"a";b";c";', ";") == ['"a"', 'b";c"', ""]
