"""MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and folders of pictures, on small files in the same formats."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import idx, write_cifar, write_mnist, write_pictures
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.sets import cifar, imagefolder, mnist
from deploytool.data.sets.mnist import idx_array
from deploytool.data.sets.sources import IMAGE_SETS
from deploytool.data.sets.table import load
from deploytool.recipe import DataSection


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)), st.integers(1, 8))
def test_idx_files_are_read_whole_or_not_at_all(array: np.ndarray, cut: int) -> None:
    content = idx(array)
    read = idx_array(content, "file")
    assert np.array_equal(read, array)
    assert not read.flags.writeable
    for damaged in (content[:-cut], content + b"0", b"\0\0\x0d" + content[3:], b""):
        with pytest.raises(InputError, match=r"^file: \d+ bytes; need a complete IDX file of unsigned bytes"):
            idx_array(damaged, "file")


def test_an_idx_header_whose_lengths_wrap_around_is_refused() -> None:
    with pytest.raises(InputError, match=r"^file: 20 bytes; need a complete IDX file"):
        idx_array(b"\0\0\x08\x04" + b"\0\1\0\0" * 4, "file")


def test_an_idx_file_of_255_axes_is_refused() -> None:
    with pytest.raises(InputError, match=r"^file: 1025 bytes; need a complete IDX file"):
        idx_array(b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"0", "file")


@pytest.mark.parametrize("name", ["mnist", "fashionmnist"])
def test_mnist_is_read_compressed_or_not(tmp_path: Path, name: str) -> None:
    write_mnist(tmp_path / "gz")
    write_mnist(tmp_path / "plain", compressed=False)
    train, test = IMAGE_SETS[name].parts(str(tmp_path / "gz"))
    again, _ = IMAGE_SETS[name].parts(str(tmp_path / "plain"))
    assert (len(train), len(test)) == (20, 20)
    assert (train[13].name, train[13].label, train[13].shape) == (f"{name}/train/00013", 3, (1, 28, 28))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(train, again, strict=True))
    assert not np.array_equal(train[0].pixels, test[0].pixels)
    fingerprint = IMAGE_SETS[name].fingerprint
    assert fingerprint(str(tmp_path / "gz")) == fingerprint(str(tmp_path / "plain"))
    write_mnist(tmp_path / "plain", 21, compressed=False)
    assert fingerprint(str(tmp_path / "gz")) != fingerprint(str(tmp_path / "plain"))


def test_the_real_mnist(shared_data: Path) -> None:
    dataset = load(DataSection(set="mnist", root=str(shared_data / "mnist")), seed=0)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [54_000, 6_000, 10_000]
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert int(mnist.parts("mnist", str(shared_data / "mnist"))[0][0].pixels.sum()) == 27_525
    stream = dataset.test[0]
    assert (stream.shape, stream.duration_us, stream.name) == ((1, 28, 28), 100_000, "mnist/test/00000")


def test_what_is_wrong_with_mnist_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError,
        match=r"data.root: missing for the set mnist, and no mnist in ./data/mnist; need the folder that",
    ):
        mnist.parts("mnist", None)
    write_mnist(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    for content, says in (
        (b"no gzip", "cannot be read"),
        (gzip.compress(idx(np.zeros(3, np.uint8))), r"images \(20, 28, 28\) and labels \(3,\) up to 0; need images"),
        (gzip.compress(idx(np.full(20, 11, np.uint8))), r"labels \(20,\) up to 11"),
    ):
        labels.write_bytes(content)
        with pytest.raises(InputError, match=says):
            mnist.parts("mnist", str(tmp_path))
    labels.unlink()
    with pytest.raises(InputError, match=r"no t10k-labels-idx1-ubyte and no t10k-labels-idx1-ubyte.gz; need"):
        mnist.fingerprint("mnist", str(tmp_path))


@pytest.mark.parametrize("layout", [cifar.CIFAR10, cifar.CIFAR100])
def test_cifar_is_read_from_the_binary_version(tmp_path: Path, layout: cifar.Layout) -> None:
    rows = write_cifar(tmp_path, layout)
    train, test = cifar.parts(layout, str(tmp_path))
    assert (len(train), len(test)) == (20 * len(layout.train), 20)
    assert train.labels[:20].tolist() == [i % layout.classes for i in range(20)]
    image = train[4]
    assert (image.name, image.label, image.shape) == (f"{layout.name}/train/00004", 4, (3, 32, 32))
    assert np.array_equal(image.pixels.ravel(), rows[4, layout.labels :])
    inside = cifar.parts(layout, str(tmp_path / layout.folder))[0]
    assert np.array_equal(inside[4].pixels, image.pixels)
    before = cifar.fingerprint(layout, str(tmp_path))
    assert before == cifar.fingerprint(layout, str(tmp_path / layout.folder))
    path = tmp_path / layout.folder / layout.test[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert before != cifar.fingerprint(layout, str(tmp_path))


@pytest.mark.parametrize("layout", [cifar.CIFAR10, cifar.CIFAR100])
def test_pickled_cifar_is_refused_with_what_to_get_instead(tmp_path: Path, layout: cifar.Layout) -> None:
    (tmp_path / layout.pickled).mkdir()
    for root in (tmp_path, tmp_path / layout.pickled):
        with pytest.raises(
            InputError, match=rf"{layout.pickled}, which is pickled .* need the binary version, {layout.folder}"
        ) as caught:
            cifar.parts(layout, str(root))
        assert layout.archive in str(caught.value)


def test_damaged_cifar_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cifar10 in this folder"):
        cifar.parts(cifar.CIFAR10, str(tmp_path))
    write_cifar(tmp_path, cifar.CIFAR10)
    path = tmp_path / cifar.CIFAR10.folder / "data_batch_3.bin"
    content = path.read_bytes()
    for damaged, says in (
        (content[:-1], r"data_batch_3.bin: \d+ bytes; need a positive multiple of 3073"),
        (b"", "data_batch_3.bin: 0 bytes"),
        (b"\x0a" + content[1:], "a label 10 in train; need 0 to 9"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=says):
            cifar.parts(cifar.CIFAR10, str(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match=r"no data_batch_3.bin; need the folder that holds .*cifar-10-binary.tar.gz"):
        cifar.fingerprint(cifar.CIFAR10, str(tmp_path))


def test_pictures_in_train_and_val(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    train, test = imagefolder.parts(str(tmp_path))
    assert train.labels.tolist() == test.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (test[4].name, test[4].label, test[4].shape) == ("imagefolder/val/n02/1.jpg", 1, (3, 5, 6))
    assert np.all(np.abs(test[4].pixels.astype(int) - 80) < 3)
    before = imagefolder.fingerprint(str(tmp_path))
    (tmp_path / "val" / "n02" / "1.jpg").unlink()
    assert imagefolder.fingerprint(str(tmp_path)) != before
    (tmp_path / "val" / "n11").mkdir()
    with pytest.raises(InputError, match="n11 in only one of train and val; need the same classes in both"):
        imagefolder.parts(str(tmp_path))


def test_pictures_without_val_are_split_by_hash(tmp_path: Path) -> None:
    write_pictures(tmp_path, parts=(".",), count=10)
    train, test = imagefolder.parts(str(tmp_path))
    assert np.bincount(train.labels).tolist() == [9, 9, 9]
    assert np.bincount(test.labels).tolist() == [1, 1, 1]


def test_pictures_become_samples_of_one_size(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    spec = DataSection(set="imagefolder", root=str(tmp_path), size=(4, 8), validation=0.34, levels=2)
    dataset = load(spec, seed=0)
    assert (dataset.shape, dataset.classes) == ((3, 4, 8), 3)
    assert len(dataset.train) == 6
    assert [sample.shape for sample in dataset.test] == [(3, 4, 8)] * 9
    assert len(dataset.test[8]) == 3 * 4 * 8  # 160 of 255 at two levels is one event
    direct = load(spec.model_copy(update={"coding": "direct", "levels": None}), seed=0)
    assert [image.shape for image in direct.test] == [(3, 4, 8)] * 9


def test_folders_without_pictures_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"data.root: missing for the set imagefolder; need a folder with train and val"
    ):
        imagefolder.parts(None)
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="no folder that contains folders; need train and val"):
            imagefolder.fingerprint(str(root))
    (tmp_path / "cats").mkdir()
    with pytest.raises(InputError, match=r"no .png or .jpg or .jpeg files in cats"):
        imagefolder.parts(str(tmp_path))


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path)
    monkeypatch.setattr(mnist, "SIZE_MAX", 1 << 20)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(1 << 21)))
    with pytest.raises(InputError, match=f"{path.name}: more than 1,048,576 bytes; need an IDX file of at most"):
        mnist.parts("mnist", str(tmp_path))


@pytest.mark.parametrize("lengths", [(0, 28, 28), (0, 2**31, 2**31, 2**31), (0,)])
def test_an_idx_file_without_samples_is_refused(lengths: tuple[int, ...]) -> None:
    content = bytes([0, 0, 8, len(lengths)]) + b"".join(length.to_bytes(4, "big") for length in lengths)
    with pytest.raises(InputError, match=r"^file: an empty array \(0,.*; need at least one sample"):
        idx_array(content, "file")


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "lost"])
def test_what_is_called_like_a_picture_and_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    write_pictures(tmp_path)
    path = tmp_path / "train" / "n01" / "5.png"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "lost":
            path.symlink_to("nowhere")
    for function in (imagefolder.parts, imagefolder.fingerprint):
        with pytest.raises(InputError, match=f"{path}: not a file; need files of that name only. Rename it"):
            function(str(tmp_path))


def test_a_pipe_in_place_of_a_file_of_cifar_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, cifar.CIFAR10)
    path = tmp_path / cifar.CIFAR10.folder / "test_batch.bin"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match=f"{path}: not a file"):
        cifar.parts(cifar.CIFAR10, str(tmp_path))
