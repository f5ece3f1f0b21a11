"""Classes by name: their order, and which output of a network each is."""

import pytest

from deploytool.base.errors import InputError
from deploytool.data.recordings.classes import Classes, in_order, numbered


def test_names_are_in_order_of_text_and_numbers_in_order_of_numbers() -> None:
    assert in_order(["dog", "cat", "dog", "Bird"]) == ("Bird", "cat", "dog")
    assert in_order(["10", "2", "0"]) == ("0", "2", "10")
    assert in_order(["10", "2", "x"]) == ("10", "2", "x")


def test_a_network_that_names_its_classes_knows_each() -> None:
    known = Classes(3, ("cat", "dog", "bird"))
    found = numbered(["dog", "bird"], known, "folder")
    assert (found.of("dog"), found.of("bird"), found.notes) == (1, 2, ())
    with pytest.raises(InputError) as caught:
        numbered(["dog", "horse", "7"], known, "folder")
    assert str(caught.value) == (
        "folder: recordings of 7, horse, which are no classes of the network; need the network's: cat, dog, bird. "
        "Rename the folders, or name one without others."
    )


def test_without_names_a_number_is_a_number() -> None:
    for classes in (Classes(), Classes(3)):
        found = numbered(["2", "0", "11"], classes, "folder")
        assert [found.of(name) for name in ("0", "2", "11", "")] == [0, 2, 11, -1]
        assert found.notes == ()


def test_without_names_as_many_names_as_outputs_are_taken_in_order_and_that_is_told() -> None:
    found = numbered(["left", "down", "up"], Classes(3), "folder")
    assert [found.of(name) for name in ("down", "left", "up")] == [0, 1, 2]
    assert found.notes == (
        "The network does not name its classes. The names in order are taken for its outputs: "
        "down = 0, left = 1, up = 2.",
    )


@pytest.mark.parametrize("names", [["left", "down"], ["0", "1", "other"]])
def test_other_names_are_no_labels_and_that_is_told(names: list[str]) -> None:
    found = numbered(names, Classes(3), "folder")
    assert [found.of(name) for name in names] == [int(name) if name.isdecimal() else -1 for name in names]
    (note,) = found.notes
    assert note.startswith("No labels for recordings in ")
    assert "as many names as the network has outputs, 3, would be taken in order" in note
