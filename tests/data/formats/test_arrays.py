"""Events in numpy's files and in tables of text: named columns, stated columns, and what is neither."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats import text as tables
from deploytool.data.formats.arrays import events_in_array, likely_columns
from deploytool.data.formats.npy import npy_parts, npz_columns, npz_parts
from deploytool.data.formats.parts import joined
from deploytool.data.formats.reading import AS_IT_IS, RawEvents, Reading
from deploytool.data.formats.text import is_table

RNG = np.random.default_rng(0)
T, X, Y, P = (
    np.sort(RNG.integers(0, 9000, 40)),
    RNG.integers(0, 34, 40),
    RNG.integers(0, 34, 40),
    RNG.integers(0, 2, 40),
)
ROWS = {"t": T, "x": X, "y": Y, "p": P}


def same(raw: RawEvents) -> bool:
    return all(np.array_equal(getattr(raw, column), values) for column, values in ROWS.items())


@given(st.permutations("txyp"))
def test_a_plain_array_is_read_in_the_stated_order(order: list[str]) -> None:
    array = np.stack([ROWS[column] for column in order], axis=1)
    assert same(events_in_array(array, Reading("".join(order)), "a"))
    assert events_in_array(array, Reading("".join(order)), "a").unit is None


@given(st.permutations("txyp"))
def test_the_likely_order_is_told(order: list[str]) -> None:
    array = np.stack([ROWS[column] for column in order], axis=1)
    guess = likely_columns(array)
    assert guess.replace("y", "x") == "".join(order).replace("y", "x")
    with pytest.raises(
        InputError, match=rf"an array \(40, 4\) of int64; need the order of its columns.*columns {guess}"
    ):
        events_in_array(array, AS_IT_IS, "a.npy")


def test_without_a_hint_the_commonest_order_is_the_example() -> None:
    assert likely_columns(np.zeros((0, 4))) == "xypt"
    assert likely_columns(np.zeros((9, 4))) == "xypt"
    assert likely_columns(np.full((9, 4), np.inf)) == "xypt"
    assert likely_columns(np.array([[1e308, 0, 0, 0], [-1e308, 0, 0, 0]])) == "xypt"


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (
            np.zeros((20, 2, 28, 28), np.uint8),
            r"an array \(20, 2, 28, 28\) of uint8: frames, which are",
        ),
        (np.zeros((4, 40)), r"an array \(4, 40\) of float64; need .* Transpose it"),
        (np.zeros((40, 3)), r"an array \(40, 3\) of float64; need a structured array with the fields t, x, y and c"),
        (np.zeros(40), r"an array \(40,\) of float64; need a structured array"),
        (np.zeros((4, 4), "U1"), r"an array \(4, 4\) of <U1; need a structured array"),
        (np.zeros(3, [("t", "i8"), ("x", "i8")]), "fields t, x; need a structured array with the fields t, x, y and c"),
    ],
)
def test_other_arrays_are_named(tmp_path: Path, array: np.ndarray, says: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=says):
        joined(npy_parts(tmp_path / "a.npy", AS_IT_IS))


@pytest.mark.parametrize("names", [("t", "x", "y", "p"), ("ts", "x", "y", "pol"), ("Timestamp", "X", "Y", "Polarity")])
def test_fields_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    array = np.zeros(len(T), [(name, "<i8") for name in names])
    for name, values in zip(names, ROWS.values(), strict=True):
        array[name] = values
    np.save(tmp_path / "a.npy", array)
    assert same(joined(npy_parts(tmp_path / "a.npy", AS_IT_IS)))
    with pytest.raises(UsageError, match=r"--columns: given with .*a.npy, which names its columns"):
        joined(npy_parts(tmp_path / "a.npy", Reading("txyp")))


def test_a_feature_is_no_polarity() -> None:
    array = np.zeros(2, [("t", "i8"), ("x", "i2"), ("y", "i2"), ("c", "i2")])
    assert events_in_array(array, AS_IT_IS, "a").features


def test_an_archive_holds_columns_or_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "columns.npz", **ROWS)
    np.savez_compressed(tmp_path / "one.npz", np.stack([X, Y, T, P], axis=1))
    assert same(joined(npz_parts(tmp_path / "columns.npz", AS_IT_IS)))
    assert same(joined(npz_parts(tmp_path / "one.npz", Reading("xytp"))))
    np.savez(tmp_path / "short.npz", **ROWS | {"x": X[1:]})
    with pytest.raises(InputError, match="40 of t, 39 of x, 40 of y, 40 of p; need the same number of each"):
        joined(npz_parts(tmp_path / "short.npz", AS_IT_IS))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:50])
    with pytest.raises(InputError, match=r"not a .npz file of events"):
        joined(npz_parts(tmp_path / "cut.npz", AS_IT_IS))


def test_an_archive_of_nmnist_is_sent_to_its_data_set(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"an archive of many samples of N-MNIST; .* --data nmnist --root"):
        joined(npz_parts(shared_data / "nmnist" / "nmnist_1ms_test.npz", AS_IT_IS))


def read(path: Path, reading: Reading) -> RawEvents:
    return joined(tables.parts(path, reading))


TABLES = [
    ("t,x,y,p", ",", "{t},{x},{y},{p}"),
    ("# t,x,y,p", ",", "{t},{x},{y},{p}"),
    ("# a comment\n# t x y p", " ", "{t} {x} {y} {p}"),
    ('"x";"y";"polarity";"timestamp"', ";", "{x};{y};{p};{t}"),
    ("\ufefftimestamp\tx\ty\ton", "\t", "{t}\t{x}\t{y}\t{p}"),
    ("id,t,x,y,p", ",", "9,{t},{x},{y},{p}"),
]


@pytest.mark.parametrize(("head", "_", "line"), TABLES)
def test_tables_with_names(tmp_path: Path, head: str, _: str, line: str) -> None:
    lines = [line.format(t=t, x=x, y=y, p=p) for t, x, y, p in zip(T, X, Y, P, strict=True)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    assert is_table(path.read_bytes())
    assert same(read(path, AS_IT_IS))
    assert len(T) == 40


def test_tables_without_names_need_the_order(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    path.write_text("".join(f"{t / 1e6} {x} {y} {p}\n" for t, x, y, p in zip(T, X, Y, P, strict=True)))
    assert is_table(path.read_bytes())
    with pytest.raises(InputError, match=r"need the order of its columns t, x, y and p\. Add --columns txyp, if"):
        read(path, AS_IT_IS)
    raw = read(path, Reading("txyp"))
    assert np.allclose(raw.t * 1e6, T)
    assert np.array_equal(raw.p, P)


def test_true_and_false_in_a_table_are_one_and_zero(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n5,1,2,True\n6,3,4,False\n")
    assert read(tmp_path / "a.csv", AS_IT_IS).p.tolist() == [1, 0]


def test_large_times_in_a_table_are_exact(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"t,x,y,p\n{2**62 + 1},1,2,1\n")
    assert read(tmp_path / "a.csv", AS_IT_IS).t.tolist() == [2**62 + 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t,x,y,p\n1,2,3\n", "a table that cannot be read .3 columns.; need 4 columns of numbers"),
        ("t,x,y,p\n1,2,3,a\n", "a table that cannot be read"),
        ("t,x,y,p\n1,2,3,1\n1,2\n", "a table that cannot be read"),
    ],
)
def test_broken_tables_are_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path / "a.csv", AS_IT_IS)
    assert len(str(caught.value).splitlines()) == 1


def test_a_table_without_rows_is_a_recording_without_events(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n")
    assert len(read(tmp_path / "a.csv", AS_IT_IS)) == 0


@pytest.mark.parametrize(
    "text", ["", "one two three\n", "# Title\n\nsome words\n", "1 2 3\n4 5 6\n", "file,label\na,1\n"]
)
def test_other_text_is_no_table_of_events(text: str) -> None:
    assert not is_table(text.encode())


def test_a_long_table_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 100)
    path = tmp_path / "a.csv"
    lines = [f"{t},{t % 7},{t % 5},{t % 2}" for t in range(0, 5000, 5)]
    lines[40:40] = ["", "# a comment"] * 30
    path.write_text("\n".join(["t,x,y,p", *lines, ""]))
    parts = list(tables.parts(path, AS_IT_IS))
    assert len(parts) > 50
    assert joined(parts).t.tolist() == list(range(0, 5000, 5))
    for part in parts[1::9]:
        rest = joined(tables.parts(path, AS_IT_IS, part.place))
        assert rest.t.tolist() == list(range(int(part.events.t[0]), 5000, 5))
    path.write_text("\n".join(["t,x,y,p", *lines[:30], "words", ""]))
    with pytest.raises(InputError, match=r"a table that cannot be read .* row 3[01]"):
        read(path, AS_IT_IS)


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x,y,p\n1,2,3,1\n" + "1," * 2_000_000)
    with pytest.raises(InputError, match=r"a line of more than 65536 characters|a table that cannot be read"):
        read(tmp_path / "a.csv", AS_IT_IS)


def test_a_single_number_is_no_column(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{**ROWS, "x": np.array(3)})
    with pytest.raises(InputError, match=r"a.npz: x is a single number; need an array of it for all events"):
        joined(npz_parts(tmp_path / "a.npz", AS_IT_IS))


def test_a_member_that_cannot_be_unpacked_is_one_sentence(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, T)
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
            archive.writestr("t.npy", file.getvalue())
        content = bytearray((tmp_path / "a.npz").read_bytes())
        content[38:60] = bytes(22)
        (tmp_path / "a.npz").write_bytes(content)
        for read in (lambda path: npz_columns(path, "columns"), lambda path: joined(npz_parts(path, AS_IT_IS))):
            with pytest.raises(InputError, match=r"a.npz: .*; need"):
                read(tmp_path / "a.npz")


def test_columns_beyond_the_file_are_refused_before_they_are_read(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", head.getvalue())
    with pytest.raises(InputError, match=r"a.npz: damaged \(cut short: an array \(10000000000000,\) of uint8 does not"):
        npz_columns(tmp_path / "a.npz", "columns")


def test_the_columns_of_an_array_that_is_no_recording_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reader for each of 2^60 columns, which take no bytes, was made without end."""
    monkeypatch.setattr("deploytool.data.formats.npy._Rows", None)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": True, "shape": (0, 1000)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", head.getvalue())
    with pytest.raises(InputError, match=r"a.npz.*1000"):
        joined(npz_parts(tmp_path / "a.npz", AS_IT_IS))
