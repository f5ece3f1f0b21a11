"""Label files: what they may say, and what is refused."""

from pathlib import Path

import pytest

from deploytool.base.errors import InputError
from deploytool.data.recordings.labels import Span, read_labels


def written(folder: Path, text: str) -> Path:
    file = folder / "labels.csv"
    file.write_text(text)
    return file


def test_labels_of_whole_recordings(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeffFile, Label\r\na.bin,cat\r\n\r\nsub\\b.raw, dog\r\n")
    assert read_labels(file) == {"a.bin": (Span("cat"),), "sub/b.raw": (Span("dog"),)}


def test_labels_of_spans_are_in_order_of_time(tmp_path: Path) -> None:
    file = written(tmp_path, "file,start_ms,end_ms,label\na.bin,100,250.5,wave\na.bin,0,50,clap\nb.bin,0.001,1,wave\n")
    assert read_labels(file) == {
        "a.bin": (Span("clap", 0, 50_000), Span("wave", 100_000, 250_500)),
        "b.bin": (Span("wave", 1, 1000),),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with ''; need file,label or file,start_ms,end_ms,label"),
        ("a.bin,cat\n", "begins with 'a.bin,cat'; need file,label or"),
        ("file,label\na.bin,cat,3\n", "line 2: 3 cells; need 2: file,label"),
        ("file,label\na.bin,\n", "line 2: no label; need a file and its label"),
        ("file,label\na.bin,cat\na.bin,dog\n", "line 3: a.bin for the second time; need a file once"),
        ("file,start_ms,end_ms,label\na.bin,0,soon,cat\n", "line 2: a span from '0' to 'soon'; need numbers"),
        (
            "file,start_ms,end_ms,label\na.bin,0,1e300,cat\n",
            "line 2: a span to 1e300 ms; need at most 4503599627370 ms",
        ),
        ("file,start_ms,end_ms,label\na.bin,0,1e308,cat\n", "line 2: a span from '0' to '1e308'; need numbers"),
        ("file,speed\na.bin,1e39\n", "line 2: speed is '1e39'; need a number, -1e+38..1e+38"),
        ("file,label\n" + "a" * 200_000, "cannot be read (field larger than field limit (131072)); need a table that"),
        ("file,start_ms,end_ms,label\na.bin,5,5,cat\n", "line 2: a span from 5 to 5 ms; need 0 <= start_ms < end_ms"),
        ("file,start_ms,end_ms,label\na.bin,-1,5,cat\n", "need 0 <= start_ms < end_ms"),
        ("file,start_ms,end_ms,label\na.bin,nan,inf,cat\n", "need numbers"),
    ],
)
def test_a_wrong_label_file_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_labels(written(tmp_path, text))
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1


def test_of_many_problems_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_labels(written(tmp_path, "file,label\n" + "a.bin,\n" * 500))
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "and: 490 more like these."
