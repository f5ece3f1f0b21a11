"""Time steps undone: potentials come back, gradients are those of plain backpropagation, and memory does not grow."""

from __future__ import annotations

import pytest
import torch
from helpers.tiny import NETWORK, STAGES, Sides, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.recipe.presets.table import PRESETS
from deploytool.recipe.presets.trevsnn import block
from deploytool.recipe.trev import TrevSection
from deploytool.train.methods.table import build, train
from deploytool.train.methods.trev.arrays import SMALLEST_ALPHA, clamped, merged, standardised
from deploytool.train.methods.trev.network import TrevNetwork
from deploytool.train.methods.trev.reversible import ReversibleNetwork, packed, unpacked
from deploytool.train.methods.trev.undoing import Course, Past, integrated, require_exact
from deploytool.train.network.spiking import SpikingNetwork, learnt
from deploytool.train.task import Task

NO_FLOOR = ConstraintsSection(floor=None)
REAL = ConstraintsSection(weight_bits=32, threshold=0.5)
BLOCKS = NetworkSection.model_validate(
    {
        "input": (2, 8, 8),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
            {"type": "conv", "name": "stem", "out": 4, "kernel": 3, "padding": 1, "direct": True},
            *block("a", 4, "stem"),
            {"type": "spike", "name": "on1"},
            {"type": "conv", "name": "down", "out": 6, "kernel": 3, "padding": 1, "stride": 2},
            {"type": "batchnorm", "name": "down_bn"},
            *block("b", 6, "down_bn", shared=True),
            {"type": "spike", "name": "on2"},
            {"type": "conv", "name": "same", "out": 6, "kernel": 1},
            *block("c", 6, "same"),
            {"type": "spike", "name": "on3"},
            {"type": "avgpool", "kernel": 4},
            {"type": "flatten"},
            {"type": "linear", "name": "answer", "out": 3, "shared": True},
        ],
    }
)
WHOLE = {"stem": "stem", "own": True, "fused": "deeper", "residual": "scaled", "standardise": True, "bias": True}
AVERAGED = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3},
            {"type": "spike"},
            {"type": "avgpool", "kernel": 2},
            {"type": "conv", "out": 4, "kernel": 2, "padding": 1},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 3},
            {"type": "spike"},
        ],
    }
)


def staged(**keys) -> TrevNetwork:
    trev = TrevSection(on=("on1", "on2", "on3"), **keys)
    return TrevNetwork(STAGES, REAL, spec(method="trev", trev=trev, time_steps=4))


def blocky(**keys) -> TrevNetwork:
    """A T-RevSNN with everything that the paper's has, or with other ``keys``."""
    trev = TrevSection(on=("on1", "on2", "on3"), **{**WHOLE, **keys})
    return TrevNetwork(BLOCKS, REAL, spec(method="trev", trev=trev, time_steps=4))


def learned(net: TrevNetwork) -> dict[str, torch.Tensor]:
    """Weights as after some training: nothing is at its start."""
    weights = double(net.initial_weights(generator()))
    return {name: w + 0.2 * torch.rand(w.shape, generator=generator(3), dtype=w.dtype) for name, w in weights.items()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def double(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: 2 * w.double() if not name.startswith("alpha") else w.double() for name, w in weights.items()}


def gradients(net: SpikingNetwork, weights: dict[str, torch.Tensor], frames: torch.Tensor) -> dict[str, torch.Tensor]:
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    activity = net.run(weights, frames)
    toward = torch.linspace(-1, 1, activity.output.numel(), dtype=frames.dtype).view_as(activity.output)
    total = (activity.output * toward).sum() + 1e-3 * activity.synops.sum()
    return dict(zip(weights, torch.autograd.grad(total, list(weights.values())), strict=True))


@given(st.lists(st.integers(0, 1), max_size=40), st.lists(st.integers(0, 255), max_size=20))
def test_spikes_are_packed_without_loss(bits, counts):
    for values, once in ((bits, True), (counts, False)):
        spikes = torch.tensor(values, dtype=torch.float32)
        stored = packed(spikes, once)
        assert torch.equal(unpacked(stored, once, spikes), spikes)


def test_more_spikes_than_a_byte_holds_are_refused():
    with pytest.raises(RecipeError, match="fires 256 times in one step; need at most 255"):
        packed(torch.tensor([256.0]), once=False)


@pytest.mark.parametrize("network", [NETWORK, AVERAGED])
@pytest.mark.parametrize("often", ["one", "many"])
def test_integrate_and_fire_undone_has_the_gradients_of_all_steps_kept(network, often):
    plain = SpikingNetwork(network, NO_FLOOR, spec(spikes_per_step=often))
    undone = ReversibleNetwork(network, NO_FLOOR, spec(spikes_per_step=often))
    weights = {name: 1.5 * w for name, w in plain.initial_weights(generator()).items()}
    frames = torch.poisson(torch.full((9, 5, *network.input), 0.8), generator=generator())
    there, back = plain.run(weights, frames), undone.run(weights, frames)
    assert there.output.sum() > 0
    assert torch.equal(there.output, back.output)
    assert torch.equal(there.synops, back.synops)
    for name, spikes in there.spikes.items():
        assert torch.equal(spikes.sum(0), back.spikes[name][0])
    wanted, found = gradients(plain, weights, frames), gradients(undone, weights, frames)
    for name, gradient in wanted.items():
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "keys", [{}, {"fusion": False}, {"grouped": True}, {"own": True}, {"own": True, "grouped": True}]
)
def test_turn_on_neurons_undone_have_the_gradients_of_plain_autograd(keys):
    undone, plain = staged(**keys), staged(reversible=False, **keys)
    weights = double(plain.initial_weights(generator()))
    frames = torch.poisson(torch.full((4, 3, 2, 6, 6), 0.8, dtype=torch.float64), generator=generator())
    assert torch.equal(undone.run(weights, frames).output, plain.run(weights, frames).output)
    assert undone.run(weights, frames).synops.sum() > 0
    wanted, found = gradients(plain, weights, frames), gradients(undone, weights, frames)
    for name, gradient in wanted.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"own": False},
        {"grouped": True},
        {"fused": "next"},
        {"fusion": False, "fused": "next"},
        {"residual": "rezero"},
    ],
)
def test_blocks_undone_have_the_gradients_of_plain_autograd(keys, moving, measure):
    undone, plain = blocky(**keys), blocky(reversible=False, **keys)
    weights = learned(plain)
    frames = torch.poisson(torch.full((4, 3, 2, 8, 8), 0.8, dtype=torch.float64), generator=generator())
    frames = frames if moving else frames[:1].expand(4, -1, -1, -1, -1)
    found = []
    for net in (plain, undone):
        needed = {name: w.detach().clone().requires_grad_(learnt(name)) for name, w in weights.items()}
        activity = net.run(needed, frames, measure=measure)
        toward = torch.linspace(-1, 1, activity.output.numel(), dtype=frames.dtype).view_as(activity.output)
        learning = [w for w in needed.values() if w.requires_grad]
        found.append((activity, torch.autograd.grad((activity.output * toward).sum(), learning, allow_unused=True)))
    (kept, wanted), (recomputed, back) = found
    assert torch.equal(kept.output, recomputed.output)
    assert kept.statistics.keys() == recomputed.statistics.keys() == ({*_means(weights)} if measure else set())
    used = 0
    for name, one, other in zip(filter(learnt, weights), wanted, back, strict=True):
        one = torch.zeros_like(weights[name]) if one is None else one
        used += bool(one.abs().sum() > 0)
        torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-10, msg=name)
    assert used >= 0.8 * len(wanted)


def _means(weights: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in weights if not learnt(name)]


@pytest.mark.parametrize("keys", [{}, {"own": False}, {"grouped": True}, {"fused": "next", "bias": False}])
def test_merged_weights_give_the_same_output(keys):
    net = blocky(**keys)
    weights = learned(net)
    frames = torch.poisson(torch.full((4, 5, 2, 8, 8), 0.8, dtype=torch.float64), generator=generator())
    weights |= {name: w.double() for name, w in net.run(weights, frames, measure=True).statistics.items()}
    simple = merged(weights, net.blocks, net.spec.trev.own)
    assert not [name for name in simple if name.endswith((".gain", ".scale", ".gamma", ".beta", ".mean", ".variance"))]
    wanted = net.run(weights, frames).output
    assert wanted.std() > 0
    torch.testing.assert_close(net.run(simple, frames).output, wanted, rtol=1e-9, atol=1e-9)


def test_a_batch_norm_after_shared_weights_is_shared_and_merged_too():
    layers = [layer.model_dump(by_alias=True) for layer in BLOCKS.layers]
    network = NetworkSection.model_validate(
        {
            "input": BLOCKS.input,
            "layers": [{**each, "shared": True} if each["name"] == "down" else each for each in layers],
        }
    )
    trev = TrevSection(on=("on1", "on2", "on3"), **WHOLE)
    net = TrevNetwork(network, REAL, spec(method="trev", trev=trev, time_steps=4))
    weights = learned(net)
    assert weights["down_bn.gamma"].shape == (6,)
    frames = torch.poisson(torch.full((4, 5, 2, 8, 8), 0.8, dtype=torch.float64), generator=generator())
    weights |= {name: w.double() for name, w in net.run(weights, frames, measure=True).statistics.items()}
    simple = merged(weights, net.blocks, own=True)
    torch.testing.assert_close(net.run(simple, frames).output, net.run(weights, frames).output, rtol=1e-9, atol=1e-9)


def test_standardised_weights_have_no_mean_and_the_gain_as_their_norm():
    weight, gain = torch.randn(2, 5, 3, 3, 3, generator=generator()), torch.rand(2, 5, generator=generator()) + 0.5
    found = standardised(weight, gain).flatten(2)
    torch.testing.assert_close(found.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=-1), gain, rtol=1e-4, atol=0)


def test_a_residual_that_starts_at_zero_is_the_shortcut_alone():
    net = blocky(residual="rezero")
    weights = double(net.initial_weights(generator()))
    assert all(not w.any() for name, w in weights.items() if name.endswith(".scale"))
    changed = {name: 3 * w if name in ("a_depth1", "a_narrow") else w for name, w in weights.items()}
    frames = torch.poisson(torch.full((4, 5, 2, 8, 8), 0.8, dtype=torch.float64), generator=generator())
    assert torch.equal(net.run(weights, frames).output, net.run(changed, frames).output)


def test_steps_that_share_a_layer_scale_no_residual_with_it():
    weights = blocky().initial_weights(generator())
    assert {name for name in weights if name.endswith(".scale")} == {"a_add.scale", "c_add.scale"}
    assert weights["a_narrow"].shape == (4, 4, 16, 1, 1)
    assert weights["b_narrow"].shape == (6, 24, 1, 1)
    assert weights["fuse.on1.on2"].shape == (3, 4, 6, 1, 1)
    assert weights["alpha.on1"].shape == (4, 4)
    assert blocky(own=False).initial_weights(generator())["a_narrow"].shape == (4, 16, 1, 1)


@pytest.mark.parametrize(("name", "count"), [("trevsnn-small", 29_787_312), ("trevsnn-tiny", 15_216_912)])
def test_four_sub_networks_have_the_number_of_weights_of_the_paper(name, count):
    network = NetworkSection.model_validate({"preset": name, "input": (3, 16, 16), "classes": 1000, "norm": True})
    needs = PRESETS[name].needs
    net = TrevNetwork(network, ConstraintsSection(**needs["constraints"]), spec(**needs["train"]))
    weights = net.initial_weights(generator())
    assert sum(w.numel() for name, w in weights.items() if learnt(name)) == count


@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from([{}, {"own": False}, {"fused": "next"}]))
@settings(deadline=None, max_examples=15)
def test_a_step_undone_gives_the_potentials_before_it(seed, steps, keys):
    net = blocky(**{**keys, **({"own": False} if steps != 4 else {})})
    weights = {
        name: 2 * w if not name.startswith("alpha") else w for name, w in net.initial_weights(generator(seed)).items()
    }
    weights = {name: w.double() for name, w in weights.items()}
    frames = torch.poisson(torch.full((steps, 2, 2, 8, 8), 0.8, dtype=torch.float64), generator=generator(seed))
    course = Course(net, steps, measured=False, synops=torch.zeros(2, dtype=torch.float64))
    shorter = Course(net, steps - 1, measured=False, synops=torch.zeros(2, dtype=torch.float64))
    _, _, after = integrated(course, frames, weights)
    if steps > 1:
        _, _, before = integrated(shorter, frames, weights)
    else:
        before = [torch.zeros_like(potential) for potential in after]
    past = Past(course, frames, weights, after, encoded=False)
    past.undo(steps - 1, torch.zeros(2, 3, dtype=torch.float64))
    for found, wanted in zip(past.potentials, before, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"stem": "on1"}, "train.trev.stem: names 'on1'; need a layer before 'on1': conv1, stem"),
        ({"stem": "a_add", "grouped": True}, "train.trev.stem: names 'a_add' \\(add\\); need a conv layer"),
        ({"stem": "conv1"}, None),
        ({"stem": "a_spike1"}, "network.layers: 'a_add' takes 'stem'; need layers of its own stage"),
    ],
)
def test_a_stem_is_a_layer_before_the_first_stage(keys, found):
    if found is None:
        assert blocky(**keys).initial_weights(generator())
        return
    with pytest.raises(RecipeError, match=found):
        blocky(**keys)


def test_turn_off_neurons_forget_and_turn_on_neurons_do_not():
    """Without memory the answer of a step follows from its input alone; alpha brings the first step into the second."""
    net = staged(fusion=False)
    weights = {name: 3 * w for name, w in net.initial_weights(generator()).items()}
    frames = torch.poisson(torch.full((2, 8, 2, 6, 6), 0.8), generator=generator())
    remembered = net.run(weights, frames).output[1]
    alone = net.run(weights, frames[1:]).output[0]
    assert not torch.equal(remembered, alone)
    forgetful = {name: torch.zeros_like(w) if name.startswith("alpha") else w for name, w in weights.items()}
    torch.testing.assert_close(net.run(forgetful, frames).output[1], net.run(forgetful, frames[1:]).output[0])


def test_fusion_brings_the_spikes_of_the_next_stage_a_step_later():
    net = staged()
    weights = {name: 3 * w for name, w in net.initial_weights(generator()).items()}
    unfused = {name: torch.zeros_like(w) if name.startswith("fuse") else w for name, w in weights.items()}
    frames = torch.poisson(torch.full((3, 8, 2, 6, 6), 0.8), generator=generator())
    first, second = net.run(weights, frames).output, net.run(unfused, frames).output
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1:], second[1:])


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9))
@settings(deadline=None)
def test_alpha_stays_away_from_zero(values):
    alpha = clamped(torch.tensor(values))
    assert (alpha.abs() >= SMALLEST_ALPHA * (1 - 1e-6)).all()
    kept = torch.tensor(values).abs() > SMALLEST_ALPHA
    assert torch.equal(alpha[kept], torch.tensor(values)[kept])


def test_potentials_that_cannot_be_found_again_are_refused():
    weights = {"alpha.on1": torch.tensor([0.5]), "alpha.on2": torch.tensor([-0.1, 0.9])}
    require_exact(weights, 8)
    with pytest.raises(RecipeError, match=r"train\.trev\.alpha: 0\.1 over 9 time steps"):
        require_exact(weights, 9)


@pytest.mark.parametrize(
    ("constraints", "found"),
    [
        (ConstraintsSection(), "constraints.floor: found -1.0; need -inf with trev"),
        (ConstraintsSection(floor=None, reset="zero"), "constraints.reset: found 'zero'"),
        (ConstraintsSection(floor=None, decay=0.5), "constraints.decay: found 0.5"),
    ],
)
def test_what_cannot_be_undone_is_refused(constraints, found):
    with pytest.raises(RecipeError, match=found):
        ReversibleNetwork(NETWORK, constraints, spec())


def test_what_cannot_be_a_t_revsnn_is_refused_together():
    with pytest.raises(RecipeError) as caught:
        build(NETWORK, NO_FLOOR, spec(method="trev", trev=TrevSection(on=("spike9",))))
    said = str(caught.value)
    assert "train.trev.on: names 'spike9'; need spike layers: spike1, spike2" in said
    assert "the last layer is a spike layer" in said
    assert "constraints.weight_bits: found 8; need 32" in said


@pytest.mark.parametrize("keys", [{}, {"on": ("on1", "on2", "on3")}, {"on": ("on1", "on2", "on3"), "grouped": True}])
def test_both_kinds_learn(tmp_path, keys):
    network, constraints = (STAGES, REAL) if keys else (NETWORK, NO_FLOOR)
    asked = spec(method="trev", epochs=8, trev=TrevSection(**keys))
    trained = train(Task(network, constraints, asked, 0, Sides(40, 1), Sides(16, 2), tmp_path))
    assert max(entry["validation_accuracy"] for entry in trained.history) >= 80


def test_a_whole_network_learns_and_keeps_merged_weights(tmp_path):
    trev = TrevSection(on=("on1", "on2", "on3"), answer="last", **WHOLE)
    asked = spec(method="trev", loss="deep", epochs=16, learning_rate=0.01, trev=trev)
    layers = [
        {**layer.model_dump(by_alias=True), **({"kernel": 3} if layer.type == "avgpool" else {})}
        for layer in BLOCKS.layers
    ]
    network = NetworkSection.model_validate({"input": (2, 6, 6), "layers": layers})
    trained = train(Task(network, REAL, asked, 0, Sides(40, 1), Sides(16, 2), tmp_path))
    assert max(entry["validation_accuracy"] for entry in trained.history) >= 80
    assert not [name for name in trained.weights if name.endswith((".gain", ".scale", ".gamma", ".mean"))]
    assert trained.weights["down.bias"].shape == (4, 6)


def test_the_answer_is_the_mean_or_the_last_step():
    outputs = torch.rand(4, 3, 2)
    assert torch.equal(blocky().read(outputs), outputs.mean(0))
    assert torch.equal(blocky(answer="last").read(outputs), outputs[-1])


def saved_bytes(net: SpikingNetwork, weights: dict[str, torch.Tensor], steps: int) -> int:
    """What autograd keeps for the backward pass, apart from the input."""
    weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
    frames = torch.poisson(torch.full((steps, 4, *net.blocks[0].in_shape), 0.8), generator=generator())
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = net.run(weights, frames).output
    kept.pop(frames.untyped_storage().data_ptr(), None)
    assert output.requires_grad
    return sum(kept.values())


def test_what_is_kept_does_not_grow_with_the_steps():
    for network, undone, kept in (
        (NETWORK, ReversibleNetwork(NETWORK, NO_FLOOR, spec()), SpikingNetwork(NETWORK, NO_FLOOR, spec())),
        (STAGES, staged(), staged(reversible=False)),
        (BLOCKS, blocky(own=False), blocky(own=False, reversible=False)),
    ):
        weights = undone.initial_weights(generator())
        grown = [saved_bytes(net, weights, 12) - saved_bytes(net, weights, 4) for net in (undone, kept)]
        assert grown[0] < 0.02 * grown[1], network.layers[-1]
