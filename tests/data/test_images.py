import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pictures

from deploytool.base.errors import InputError
from deploytool.data.images import CountCoding, Fit, Image, RateCoding, read_image

TOP = st.sampled_from([16, 255])


@st.composite
def images(draw: st.DrawFn) -> Image:
    top = draw(TOP)
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    return Image(draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, top))), 3, "image/3", top)


def counted(events: np.ndarray, image: Image) -> np.ndarray:
    counts = np.zeros(image.shape, np.int64)
    np.add.at(counts, (events["c"], events["y"], events["x"]), 1)
    return counts


@given(images(), st.integers(1, 40), st.integers(1, 10**9))
def test_a_pixel_has_as_many_events_as_its_intensity_says(image: Image, levels: int, duration_us: int) -> None:
    before = image.pixels.copy()
    stream = CountCoding(levels, duration_us)(image)
    exact = image.pixels.astype(np.float64) * levels / image.top
    assert np.array_equal(counted(stream.events, image), np.floor(exact + 0.5))
    assert (stream.shape, stream.duration_us, stream.label, stream.name) == (image.shape, duration_us, 3, "image/3")
    assert np.array_equal(image.pixels, before)


@given(images(), st.integers(1, 20), st.integers(20, 10**6))
def test_every_pixel_fires_evenly_over_the_duration(image: Image, levels: int, duration_us: int) -> None:
    events = CountCoding(levels, duration_us)(image).events
    numbers = counted(events, image)
    for place in zip(*np.nonzero(numbers), strict=True):
        at = (events["c"] == place[0]) & (events["y"] == place[1]) & (events["x"] == place[2])
        slots = events["t"][at] * numbers[place] // duration_us
        assert slots.tolist() == list(range(numbers[place]))


@pytest.mark.parametrize("coding", [CountCoding, RateCoding])
def test_no_part_of_the_image_comes_first(coding: type[CountCoding | RateCoding]) -> None:
    image = Image(np.full((3, 32, 32), 128, np.uint8), 0, "grey")
    events = coding(8, 100_000)(image).events
    place = (events["c"].astype(int) * 32 + events["y"]) * 32 + events["x"]
    assert abs(np.corrcoef(np.arange(len(place)), place)[0, 1]) < 0.03
    first = events[: len(events) // 16]  # a sixteenth of the events reaches every eighth of the rows
    rows = np.bincount((first["c"].astype(int) * 32 + first["y"]) // 12, minlength=8)
    assert rows.min() > 0.7 * rows.mean()


@given(images(), st.integers(1, 20), st.integers(20, 10**6))
def test_a_rate_fires_once_in_a_slot_at_most(image: Image, levels: int, duration_us: int) -> None:
    stream = RateCoding(levels, duration_us)(image)
    numbers = counted(stream.events, image)
    assert np.all(numbers[image.pixels == 0] == 0)
    assert np.all(numbers[image.pixels == image.top] == levels)
    cells = np.stack([stream.events["t"] * levels // duration_us, *(stream.events[axis].astype(int) for axis in "cyx")])
    assert len(np.unique(cells, axis=1).T) == len(stream)
    assert np.array_equal(stream.events, RateCoding(levels, duration_us)(image).events)


def test_a_rate_is_the_intensity_on_average_and_differs_by_name() -> None:
    pixels = np.linspace(0, 255, 100, dtype=np.uint8).reshape(1, 10, 10)
    made = [RateCoding(50, 10**5)(Image(pixels, 0, f"image/{i}")) for i in range(40)]
    mean = np.mean([counted(stream.events, Image(pixels, 0, "")) for stream in made], axis=0) / 50
    assert np.allclose(mean, pixels / 255, atol=5 * 0.5 / np.sqrt(40 * 50))
    assert len({stream.events.tobytes() for stream in made}) == 40


def test_coded_samples_are_what_they_were() -> None:
    image = Image(np.array([[[0, 16], [5, 8]]], np.uint8), 0, "four", 16)
    counted_events = CountCoding(2, 1000)(image).events
    assert counted_events.tolist() == [(236, 0, 1, 0), (309, 0, 0, 1), (809, 0, 0, 1), (854, 0, 1, 1)]
    drawn = RateCoding(2, 1000)(image).events
    assert drawn.tolist() == [
        (118, 0, 1, 0),
        (309, 0, 0, 1),
        (427, 0, 1, 1),
        (618, 0, 1, 0),
        (809, 0, 0, 1),
        (927, 0, 1, 1),
    ]


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_fitted_image_has_the_size_and_keeps_what_is_flat(c: int, h: int, w: int, height: int, width: int) -> None:
    flat = Image(np.full((c, h, w), 77, np.uint8), 1, "flat")
    fitted = Fit(height, width)(flat)
    assert fitted.shape == (c, height, width)
    assert np.all(fitted.pixels == 77)
    assert (fitted.label, fitted.name, fitted.top) == (1, "flat", 255)


def test_the_middle_of_an_image_is_kept() -> None:
    pixels = np.zeros((1, 4, 8), np.uint8)
    pixels[:, :, 2:6] = 200
    assert np.all(Fit(4, 4)(Image(pixels, 0, "middle")).pixels == 200)


def test_pictures_are_read_as_red_green_blue(tmp_path: Path) -> None:
    colours = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    Pictures.fromarray(colours).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 4, "a")
    assert np.array_equal(image.pixels, colours.transpose(2, 0, 1))
    assert not image.pixels.flags.writeable
    Pictures.fromarray(colours[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png", 0, "grey").pixels[2], colours[..., 0])
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    for name in ("b.png", "c.jpg", "d.png"):
        with pytest.raises(InputError, match=f"{name}: cannot be read .*; need a .png or .jpeg picture"):
            read_image(tmp_path / name, 0, name)


def test_a_file_of_another_format_is_refused_whatever_its_name_says(tmp_path: Path) -> None:
    for kind in ("EPS", "TIFF", "GIF"):
        Pictures.new("RGB", (4, 4)).save(tmp_path / "a", kind)
        (tmp_path / "a").rename(tmp_path / "a.png")
        with pytest.raises(
            InputError, match=r"a.png: cannot be read \(cannot identify .*; need a .png or .jpeg picture"
        ):
            read_image(tmp_path / "a.png", 0, "a")


def png(chunks: dict[bytes, bytes]) -> bytes:
    """A .png file of ``chunks`` with right checksums, whatever they state."""
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_damage_in_what_is_not_the_picture_is_passed_over_in_silence(tmp_path: Path) -> None:
    """Pillow warned of an animation without frames, in lines of its own between those of a command."""
    size = struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": size, b"acTL": bytes(8), b"IDAT": zlib.compress(b"\0abcdef"), b"IEND": b""}
    (tmp_path / "a.png").write_bytes(png(chunks))
    assert read_image(tmp_path / "a.png", 0, "a").pixels.transpose(1, 2, 0).tobytes() == b"abcdef"


@pytest.mark.parametrize("side", [8193, 12_000, 60_000])
def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path: Path, side: int) -> None:
    size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png({b"IHDR": size, b"IDAT": zlib.compress(b"0")}))
    with pytest.raises(InputError, match=r"a.png: cannot be read \(.* pixels.*; need a .png or .jpeg picture"):
        read_image(tmp_path / "a.png", 0, "a")
