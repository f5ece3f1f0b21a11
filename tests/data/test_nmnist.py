import shutil
from pathlib import Path

import numpy as np
import pytest

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.sets import nmnist
from deploytool.data.transforms import Denoise


def write_bins(root: Path, per_class: int = 2) -> None:
    for part in ("Train", "Test"):
        for label in range(10):
            folder = root / part / str(label)
            folder.mkdir(parents=True)
            for index in range(per_class):
                (folder / f"{index:05d}.bin").write_bytes(bytes([label, index, 0x80, 1, 0, label, index, 0, 2, 0]))


def write_archive(path: Path, in_ms: bool, **changes: np.ndarray) -> None:
    """Three samples of 4, 0 and 3 events."""
    gaps = np.array([0, 0, 1, 0, 5, 0, 0], np.uint8)
    columns = {
        "x": np.arange(7, dtype=np.uint8),
        "y": np.arange(7, dtype=np.uint8),
        "p_bits": np.packbits([0, 1, 0, 1, 0, 1, 1]),
        "n": np.array([4, 0, 3], np.uint32),
        "label": np.array([7, 1, 9], np.uint8),
        "id": np.array([11, 12, 13], np.uint32),
    }
    columns |= {"dt_ms": gaps} if in_ms else {"dt_lo": gaps, "dt_hi": gaps}
    np.savez(path, **(columns | changes))


def write_archives(root: Path) -> None:
    write_archive(root / "nmnist_1ms_train.npz", in_ms=True)
    write_archive(root / "nmnist_train1000_us.npz", in_ms=False)
    write_archive(root / "nmnist_1ms_test.npz", in_ms=True)


@pytest.mark.parametrize("folder", ["NMNIST", "."])
def test_tonics_folder_is_read_file_by_file(tmp_path: Path, folder: str) -> None:
    write_bins(tmp_path / folder)
    train, test = nmnist.parts(str(tmp_path))
    assert len(train) == len(test) == 20
    assert list(train.labels) == sorted([*range(10)] * 2)
    stream = test[7]
    assert (stream.name, stream.label, stream.duration_us) == ("nmnist/Test/3/00001.bin", 3, 320_000)
    assert stream.events.tolist() == [(256, 1, 1, 3), (512, 0, 1, 3)]


def test_archives_are_read_sample_by_sample(tmp_path: Path) -> None:
    write_archives(tmp_path)
    train, test = nmnist.parts(str(tmp_path))
    assert list(train.labels) == [7, 1, 9, 7, 1, 9]
    in_us = train[3]
    assert in_us.events.tolist() == [(0, 0, 0, 0), (0, 1, 1, 1), (257, 0, 2, 2), (257, 1, 3, 3)]
    in_ms = test[0].events
    assert list(in_ms["t"] // 1000) == [0, 0, 1, 1]
    assert sorted(in_ms[["c", "y", "x"]].tolist()) == [(0, 0, 0), (0, 2, 2), (1, 1, 1), (1, 3, 3)]
    assert np.array_equal(in_ms, nmnist.parts(str(tmp_path))[1][0].events)
    assert len(test[1]) == 0


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        write_archives(tmp_path / place)
        write_bins(tmp_path / place / "bins")
    for inside in (".", "bins"):
        one, two = (nmnist.fingerprint(str(tmp_path / place / inside)) for place in ("a", "b"))
        assert one == two
    write_archive(tmp_path / "b" / "nmnist_1ms_test.npz", in_ms=True, label=np.array([1, 2, 3]))
    assert nmnist.fingerprint(str(tmp_path / "b")) != nmnist.fingerprint(str(tmp_path / "a"))
    (tmp_path / "b" / "bins" / "Train" / "0" / "extra.bin").write_bytes(bytes(5))
    assert nmnist.fingerprint(str(tmp_path / "b" / "bins")) != nmnist.fingerprint(str(tmp_path / "a" / "bins"))


def test_missing_and_empty_places_are_one_sentence(tmp_path: Path) -> None:
    for function in (nmnist.parts, nmnist.fingerprint):
        with pytest.raises(InputError, match=r"data.root .*none: no such folder; need .* or get it: --download"):
            function(str(tmp_path / "none"))
        with pytest.raises(
            InputError,
            match="no nmnist in this folder; need the folder that holds NMNIST/Train and NMNIST/Test, or nmnist_",
        ):
            function(str(tmp_path))
    write_bins(tmp_path)
    shutil.rmtree(tmp_path / "Test" / "4")
    with pytest.raises(InputError, match=r"Test: no .bin files in 4; need"):
        nmnist.parts(str(tmp_path))
    shutil.rmtree(tmp_path / "Test")
    with pytest.raises(InputError, match=r"Test: no .bin files in 0, 1, 2"):
        nmnist.parts(str(tmp_path))


def test_broken_archives_are_one_sentence(tmp_path: Path) -> None:
    write_archives(tmp_path)
    path = tmp_path / "nmnist_1ms_test.npz"
    good = path.read_bytes()
    for damage in (good[:200], b"text", good[:300] + bytes([good[300] ^ 0xFF]) + good[301:]):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"nmnist_1ms_test.npz: damaged \(.*; need an archive") as caught:
            nmnist.parts(str(tmp_path))
        assert len(str(caught.value).splitlines()) == 1
    write_archive(path, in_ms=True, x=np.zeros(6, np.uint8))
    with pytest.raises(InputError, match="its columns differ in length"):
        nmnist.parts(str(tmp_path))
    for column, value, says in (
        ("id", [np.nan, 1.0, 2.0], "column 'id' of float64 with 1 axes, not integers"),
        ("label", [[1, 2, 3]], "column 'label' of int64 with 2 axes"),
        ("label", [0, -1, 2], "column 'label' from -1 to 2, not 0 to 255"),
        ("label", [0, 1, 10], "labels from 0 to 10"),
        ("n", [4, 4, -2], "column 'n' from -2 to 4, not 0 to 4294967295"),
        ("n", [2**62, 2**62, 7], "column 'n' from 7 to 4611686018427387904, not 0"),
        ("x", [0, 1, 2, 3, 4, 5, 65536], "column 'x' from 0 to 65536, not 0 to 255"),
    ):
        write_archive(path, in_ms=True, **{column: np.array(value)})
        with pytest.raises(InputError, match=says):
            nmnist.parts(str(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match=r"no nmnist_1ms_test.npz; need all of"):
        nmnist.parts(str(tmp_path))


def test_without_a_root_it_is_looked_for_where_a_download_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"missing for the set nmnist, and no nmnist in ./data; need .*--download"):
        nmnist.parts(None)
    assert list(tmp_path.iterdir()) == []
    write_bins(tmp_path / "data" / "NMNIST")
    assert len(nmnist.parts(None)[0]) == 20


@pytest.fixture(scope="module")
def archives(shared_data: Path) -> tuple[nmnist.Samples, nmnist.Samples]:
    return nmnist.parts(str(shared_data / "nmnist"))


def test_the_real_archives(archives: tuple[nmnist.Samples, nmnist.Samples]) -> None:
    train, test = archives
    assert (len(train), len(test)) == (3500, 500)
    assert list(np.bincount(test.labels)) == [50] * 10
    for stream in (train[0], train[2499], train[2500], train[3499], test[499]):
        assert stream.duration_us == 320_000
        assert 900 < len(stream) < 7400
        assert stream.events["t"][-1] > 280_000


def test_polarities_inside_a_millisecond_are_mixed(archives: tuple[nmnist.Samples, nmnist.Samples]) -> None:
    mixed = 0
    for stream in archives[1][:20]:
        inside = np.diff(stream.events["t"] // 1000) == 0
        mixed += np.count_nonzero(inside & (np.diff(stream.events["c"].astype(int)) != 0)) / np.count_nonzero(inside)
    assert mixed / 20 > 0.2  # sorted by polarity it would be near 0.1


def test_archive_and_original_file_agree(archives: tuple[nmnist.Samples, nmnist.Samples], shared_data: Path) -> None:
    train, _ = archives
    for path in sorted((shared_data / "nmnist" / "original_bin" / "Train").glob("*/*.bin")):
        stream = train[2500 + int(path.stem) - 1]
        assert stream.name == f"nmnist/{int(path.stem)}"
        assert stream.label == int(path.parent.name)
        assert np.array_equal(stream.events, file_events(path, "bin", nmnist.SHAPE, AT_CLOCK))


def test_denoising_the_denoised_changes_little(archives: tuple[nmnist.Samples, nmnist.Samples]) -> None:
    streams = archives[1][:100:5]
    kept = sum(len(Denoise(10.0)(stream)) for stream in streams) / sum(map(len, streams))
    assert kept > 0.95
