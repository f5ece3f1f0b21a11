"""SI-SDR of known signals, and the order of voices that the loss takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deploytool.train.loop.speech import separation_loss, si_sdr
from deploytool.validate import speech

SINE = torch.sin(2 * math.pi * 5 * torch.arange(400) / 400)
COSINE = torch.cos(2 * math.pi * 5 * torch.arange(400) / 400)


def test_si_sdr_is_the_ratio_of_what_is_wanted_to_the_rest() -> None:
    # The rest is orthogonal to the source and a tenth of it: 20 dB, at any scale, offset and sign of the estimate.
    for scale, offset in ((1.0, 0.0), (-7.0, 0.0), (0.01, 3.0)):
        assert float(si_sdr(scale * (SINE + 0.1 * COSINE) + offset, SINE)) == pytest.approx(20, abs=0.01)
    assert float(si_sdr(SINE + COSINE, SINE)) == pytest.approx(0, abs=1e-3)


def test_both_frameworks_agree() -> None:
    generator = torch.Generator().manual_seed(1)
    estimates, sources = (torch.randn(3, 2, 500, generator=generator) for _ in range(2))
    found = speech.si_sdr(estimates.numpy(), sources.numpy())
    assert si_sdr(estimates, sources).numpy() == pytest.approx(found, abs=1e-3)
    ordered = speech.in_best_order(estimates.numpy(), sources.numpy())
    assert -float(separation_loss(estimates, sources)) == pytest.approx(
        float(np.mean(speech.si_sdr(ordered, sources.numpy()))), abs=1e-3
    )


def test_the_loss_takes_the_best_order_of_each_mixture() -> None:
    sources = torch.stack([SINE, COSINE]).expand(2, 2, -1)
    estimates = torch.stack([SINE + 0.1 * COSINE, COSINE + 0.1 * SINE])
    straight, crossed = estimates[None], estimates.flip(0)[None]
    assert float(separation_loss(torch.cat([straight, crossed]), sources)) == pytest.approx(-20, abs=0.01)
    # Both estimates of one voice: one of the two is wrong in any order.
    same = torch.stack([SINE + 0.1 * COSINE] * 2)[None]
    assert float(separation_loss(same, sources[:1])) == pytest.approx(0, abs=0.05)


def test_gradients_flow_through_the_best_order() -> None:
    estimates = torch.stack([COSINE + 0.5 * SINE, SINE])[None].clone().requires_grad_()
    separation_loss(estimates, torch.stack([SINE, COSINE])[None]).backward()  # type: ignore[no-untyped-call]
    assert estimates.grad is not None
    # The first estimate, which is for the cosine, is to have less of the sine.
    assert float(estimates.grad[0, 0] @ SINE) > 0
