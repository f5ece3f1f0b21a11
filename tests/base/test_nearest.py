import pytest

from deploytool.base.nearest import did_you_mean, nearest

KEYS = ("epochs", "learning_rate", "t_min", "t_max", "drop", "batch")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("epoch", "epochs"),
        ("learning-rate", "learning_rate"),
        ("Learning_Rate", "learning_rate"),
        ("t_mim", "t_min"),
        ("dropout", "drop"),
        ("lr", "learning_rate"),
        ("zebra", None),
        (3, None),
        ("", None),
    ],
)
def test_the_nearest_name(found: object, wanted: str | None) -> None:
    assert nearest(found, KEYS) == wanted
    assert did_you_mean(found, KEYS) == (f"Did you mean {wanted}?" if wanted else "")


def test_without_names_nothing_is_near() -> None:
    assert nearest("epochs", ()) is None
