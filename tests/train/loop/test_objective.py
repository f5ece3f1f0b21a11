"""What a network is trained for: losses and figures against their definitions, and decoders in real units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_squared_error, r2_score

from deploytool.recipe import TrainSection
from deploytool.train.loop.objective import Decoded, in_windows, shares, split_decoder
from deploytool.train.task import Values

MEAN, SPREAD = np.array([10.0, -3.0]), np.array([2.0, 0.5])


def objective(windows: int = 2, loss: str = "mse", reads: str = "rate") -> Decoded:
    spec = TrainSection.model_validate(
        {"time_steps": 4, "epochs": 1, "batch": 2, "learning_rate": 0.1, "loss": loss, "tet_lambda": 0.0}
    )
    values = Values(("a", "b"), "px/s", reads, windows, None, MEAN, SPREAD)  # type: ignore[arg-type]
    return Decoded(spec, values, outputs=3)


def batch(
    steps: int = 4, samples: int = 5, windows: int = 2
) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = {**objective().start(generator)}
    weights["decoder.offset"] = torch.tensor([0.25, -0.5])
    outputs = torch.randint(0, 4, (steps, samples, 3), generator=generator).float()
    targets = torch.randn(samples, windows, 2, generator=generator) * 2 + 1
    return weights, outputs, targets


@given(st.integers(1, 12), st.integers(1, 5))
def test_every_step_is_shared_out_once_and_windows_are_of_equal_length(steps: int, windows: int) -> None:
    share = shares(steps, windows)
    assert share.shape == (windows, steps)
    torch.testing.assert_close(share.sum(0), torch.ones(steps))
    torch.testing.assert_close(share.sum(1), torch.full((windows,), steps / windows))


def test_whole_steps_are_summed_and_potentials_add_up() -> None:
    outputs = torch.arange(6.0).reshape(6, 1, 1)
    assert in_windows(outputs, 3, potentials=False).flatten().tolist() == [1, 5, 9]
    assert in_windows(outputs, 3, potentials=True).flatten().tolist() == [1, 6, 15]
    assert in_windows(outputs, 4, potentials=False).flatten().tolist() == [0.5, 0.5 + 2, 3 + 2, 2 + 5]


def test_the_loss_is_the_squared_error_of_normalised_values() -> None:
    weights, outputs, targets = batch()
    counts = outputs.reshape(2, 2, 5, 3).sum(1).numpy()
    read = counts @ weights["decoder.weights"].numpy().T + weights["decoder.offset"].numpy()
    wanted = ((targets.numpy() - MEAN) / SPREAD).swapaxes(0, 1)
    found = objective().loss(weights, outputs, targets)
    assert float(found) == pytest.approx(float(np.mean((read - wanted) ** 2)), rel=1e-5)


def test_tet_asks_every_step_for_the_value_of_its_window() -> None:
    weights, outputs, targets = batch()
    steady = outputs[:1].repeat(4, 1, 1)
    found, plain = objective(loss="tet").loss(weights, steady, targets), objective().loss(weights, steady, targets)
    torch.testing.assert_close(found, plain)
    assert float(objective(loss="tet").loss(weights, outputs, targets)) > float(
        objective().loss(weights, outputs, targets)
    )


def test_figures_are_those_of_scikit_learn_over_all_batches() -> None:
    task, (weights, outputs, targets) = objective(), batch(samples=8)
    parts = [task.sums(weights, outputs[:, part], targets[part]) for part in (slice(0, 3), slice(3, 8))]
    figures = task.figures([a + b for a, b in zip(*parts, strict=True)])
    _, decoder = split_decoder({name: array.numpy() for name, array in weights.items()}, task.values)
    counts = outputs.reshape(2, 2, 8, 3).sum(1).movedim(0, 1).reshape(-1, 3).numpy()
    read, wanted = decoder.decode(counts), targets.reshape(-1, 2).numpy()
    assert figures["r2"] == pytest.approx(r2_score(wanted, read), rel=1e-4)
    assert figures["rmse"] == pytest.approx(mean_squared_error(wanted, read) ** 0.5, rel=1e-4)


def test_a_decoder_is_split_off_in_real_units() -> None:
    task = objective()
    arrays = {
        "decoder.weights": np.array([[1, 0, 2], [0, 4, 0]]),
        "decoder.offset": np.array([1, -2]),
        "fc": np.ones(3),
    }
    kept, decoder = split_decoder(arrays, task.values)
    assert list(kept) == ["fc"]
    assert decoder.weights.tolist() == [[2, 0, 4], [0, 2, 0]]
    assert decoder.offset.tolist() == [12, -4]
    assert (decoder.values, decoder.unit) == (("a", "b"), "px/s")
