"""What other frameworks do with a file: the table, and the importers that are installed themselves."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.convert.nir import write_nir
from deploytool.convert.nir.lint import lint
from deploytool.convert.nir.lint.importers import IMPORTERS, ORDER
from deploytool.convert.nir.lint.report import RULES
from deploytool.convert.nir.neurons import NEURONS
from deploytool.ir.graph import chain
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Input, Linear, Node, Output, Spike

ONES = np.ones(3, np.float32)
WEIGHT = np.ones((2, 2, 3, 3), np.float32)


def pool(kind: type[Any]) -> Any:
    return kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


def outcomes(path: Path, *nodes: Any) -> dict[str, dict[str, str]]:
    """{node type: {importer: outcome}} for a file of the nir package's with ``nodes`` in a chain."""
    names = ["input", *(f"n{index}" for index in range(len(nodes))), "output"]
    ends = nir.Input({"input": np.array([3])}), nir.Output({"output": np.array([3])})
    listed = dict(zip(names, (ends[0], *nodes, ends[1]), strict=True))
    graph = nir.NIRGraph(listed, list(itertools.pairwise(names)), type_check=False)
    nir.write(path, graph)
    found: dict[str, dict[str, str]] = {}
    for row in lint(path).rows:
        found.setdefault(row.type, {})[row.importer] = row.outcome
    return found


def leaky(**changes: float) -> nir.LIF:
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, **changes}
    return nir.LIF(**{name: value * ONES for name, value in values.items()})


def synaptic(**changes: float) -> nir.CubaLIF:
    values = {"tau_syn": 0.01, "tau_mem": 0.02, "r": 200.0, "v_leak": 0.0, "v_threshold": 1.0, "w_in": 100.0, **changes}
    return nir.CubaLIF(**{name: value * ONES for name, value in values.items()})


@pytest.mark.parametrize(
    ("node", "field", "value", "says"),
    [
        (nir.Conv2d((6, 6), WEIGHT, 1, 0, 1, 1, np.zeros(2, np.float32)), "groups", [1, 2], "groups is"),
        (nir.Linear(np.ones((3, 3), np.float32)), "weight", 1.0, "weight has 0 axes; need 2"),
        (leaky(), "r", np.ones(4), r"shapes: .*r \(4,\)"),
    ],
    ids=["groups", "axes", "shapes"],
)
def test_a_malformed_node_is_one_sentence(tmp_path: Path, node: Any, field: str, value: Any, says: str) -> None:
    path = tmp_path / "net.nir"
    outcomes(path, node)
    with h5py.File(path, "a") as file:
        del file[f"node/nodes/n0/{field}"]
        file[f"node/nodes/n0/{field}"] = value
    with pytest.raises(InputError, match=f"net.nir: node 'n0': .*{says}"):
        lint(path)


def test_every_importer_s_answer_to_the_nodes_of_nir(tmp_path: Path) -> None:
    conv = nir.Conv2d((6, 6), WEIGHT, 1, 0, 1, 1, np.zeros(2, np.float32))
    matrix = np.ones((3, 3), np.float32)
    nodes = (
        conv,
        nir.Linear(matrix),
        nir.Affine(matrix, ONES),
        nir.Scale(ONES),
        pool(nir.SumPool2d),
        pool(nir.AvgPool2d),
        nir.Flatten({"input": np.array([2, 6, 6])}, 0, -1),
        nir.IF(ONES, ONES),
        leaky(),
        synaptic(),
        nir.LI(tau=ONES, r=ONES, v_leak=0 * ONES),
        nir.Delay(ONES),
    )
    found = outcomes(tmp_path / "net.nir", *nodes)
    in_order = {kind: " ".join(answers[name] for name in IMPORTERS) for kind, answers in found.items()}
    assert in_order == {  # sinabs snnTorch Norse SpikingJelly nirtorch
        "NIRGraph": "keep keep keep keep keep",
        "Input": "keep keep keep keep keep",
        "Output": "keep keep keep keep keep",
        "Conv2d": "keep keep keep keep keep",
        "Linear": "drop keep keep keep keep",
        "Affine": "keep keep keep keep alter",
        "Scale": "drop refuse drop refuse refuse",
        "SumPool2d": "keep keep keep keep keep",
        "AvgPool2d": "drop keep drop keep keep",
        "Flatten": "keep alter alter keep alter",
        "IF": "refuse alter keep refuse refuse",
        "LIF": "refuse alter alter alter refuse",
        "CubaLIF": "drop alter alter alter refuse",
        "LI": "alter refuse drop refuse refuse",
        "Delay": "drop refuse drop refuse refuse",
    }


@pytest.mark.parametrize(
    ("node", "importer", "outcome"),
    [
        (nir.Conv2d((6, 6), WEIGHT[..., :1], 1, 0, 1, 1, ONES[:2]), "Norse", "refuse"),
        (nir.Conv2d((6, 6), WEIGHT[:, :1], 1, 0, 1, 2, ONES[:2]), "sinabs", "refuse"),
        (nir.Conv2d((6, 6), WEIGHT, 1, 0, 1, 2, ONES[:2]), "sinabs", "keep"),
        (nir.Conv2d((6, 6), WEIGHT, 1, 0, 1, 2, ONES[:2]), "SpikingJelly", "refuse"),
        (nir.IF(1e4 * ONES, ONES), "SpikingJelly", "keep"),
        (nir.IF(1e4 * ONES, ONES), "Norse", "alter"),
        (nir.IF(1e4 * ONES, ONES), "snnTorch", "refuse"),
        (nir.IF(ONES, np.arange(1, 4, dtype=np.float32)), "snnTorch", "refuse"),
        (leaky(v_leak=0.5), "snnTorch", "refuse"),
        (leaky(v_leak=0.5), "Norse", "alter"),
        (leaky(r=3.0), "SpikingJelly", "refuse"),
        (leaky(r=100.0), "SpikingJelly", "alter"),
        (synaptic(r=1.0), "snnTorch", "refuse"),
        (synaptic(w_in=1.0), "SpikingJelly", "refuse"),
        (synaptic(w_in=1.0), "snnTorch", "alter"),
    ],
)
def test_the_answer_depends_on_the_values(node: Any, importer: str, outcome: str, tmp_path: Path) -> None:
    assert outcomes(tmp_path / "net.nir", node)[type(node).__name__][importer] == outcome


def test_what_we_state_is_lost_unless_the_importer_does_it_anyway(tmp_path: Path) -> None:
    def said(spike: Spike, importer: str) -> set[str]:
        write_nir(chain([("in", Input((3, 1, 1))), ("n", spike), ("out", Output())]), tmp_path / "net.nir")
        row = next(row for row in lint(tmp_path / "net.nir").rows if row.node == "n" and row.importer == importer)
        return {reason.effect for reason in row.reasons}

    assert said(Spike(2.0, -2.0, "subtract", at_most_one=False), "sinabs") == set()
    assert said(Spike(2.0, -1.0, "zero"), "sinabs") == {
        "gets a floor of -v_threshold",
        "subtracts the threshold on reset",
        "can fire several times per time step",
    }
    assert said(Spike(2.0, None, "zero"), "Norse") == set()
    assert said(Spike(2.0, -1.0, "subtract", at_most_one=False), "Norse") == {
        "the floor is ignored",
        "resets to a fixed value",
        "fires at most once per time step",
    }


def test_branches_cycles_and_files_without_ends(tmp_path: Path, shared_data: Path) -> None:
    eye = nir.Affine(np.eye(3, dtype=np.float32), 0 * ONES)
    path = tmp_path / "net.nir"
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    nir.write(path, nir.NIRGraph(dict.fromkeys("abcd", eye), edges, type_check=False))
    report = lint(path)
    assert report.outcome("snnTorch") == "refuse"
    altered = {(row.node, row.importer) for row in report.rows if row.outcome == "alter" and row.importer != "nirtorch"}
    assert altered == {("d", "sinabs"), ("d", "Norse")}
    braille = lint(shared_data / "nir" / "braille_noDelay_bias_zero.nir")
    refused = {row.node for row in braille.rows if row.importer == "snnTorch" and row.outcome == "refuse"}
    assert refused == {"lif1.lif", "lif1.w_rec"}


def test_every_rule_names_importers_types_and_a_source() -> None:
    types = {kind for importer in IMPORTERS.values() for kind in importer.knows} | {*NEURONS, "NIRGraph", "*"}
    for rule in RULES:
        assert set(rule.importers) <= IMPORTERS.keys()
        assert set(rule.types) <= types
        assert ".py" in rule.source
        assert rule.outcome in ORDER[1:]


def test_the_report_is_json_and_a_damaged_file_an_error(tmp_path: Path) -> None:
    outcomes(tmp_path / "net.nir", leaky())
    report = lint(tmp_path / "net.nir").as_json()
    assert json.loads(json.dumps(report)) == report
    assert report["verdicts"]["sinabs"] == "refuse"
    assert {row["importer"] for row in report["rows"]} == set(report["importers"])
    (tmp_path / "text.nir").write_text("a poem")
    with pytest.raises(InputError, match="not an HDF5 file"):
        lint(tmp_path / "text.nir")


@pytest.mark.filterwarnings("ignore")
def test_nirtorch_and_sinabs_do_what_the_table_says() -> None:
    """With the releases that are installed: a chain with a Linear, an AvgPool or a bias that is lost."""
    nirtorch = pytest.importorskip("nirtorch", reason="nirtorch is not installed")
    importer = pytest.importorskip("sinabs.nir", reason="sinabs is not installed")
    torch = pytest.importorskip("torch")
    affine = nir.Affine(np.zeros((3, 3), np.float32), 5 * ONES)
    ends = {"input": nir.Input({"input": np.array([3])}), "output": nir.Output({"output": np.array([3])})}

    def imported(load: Any, node: Any) -> Any:
        graph = nir.NIRGraph({**ends, "n": node}, [("input", "n"), ("n", "output")], type_check=False)
        with warnings.catch_warnings(action="ignore"):
            answer = load(graph)(torch.ones(1, 3))
        return answer[0] if isinstance(answer, tuple) else answer

    def by_sinabs(graph: Any) -> Any:
        return importer.from_nir(graph, batch_size=1)

    assert imported(by_sinabs, affine).tolist() == [[5.0, 5.0, 5.0]]
    assert imported(lambda graph: nirtorch.nir_to_torch(graph, {}), affine).tolist() != [[5.0, 5.0, 5.0]]
    for dropped in (nir.Linear(np.eye(3, dtype=np.float32)), pool(nir.AvgPool2d), nir.Scale(ONES), synaptic()):
        with pytest.raises(ValueError, match="empty graph"):
            imported(by_sinabs, dropped)
    assert imported(by_sinabs, nir.IF(ONES, ONES)).tolist() == [[1.0, 1.0, 1.0]]


def test_our_files_keep_their_weights_in_every_importer(tmp_path: Path) -> None:
    nodes: list[tuple[str, Node]] = [
        ("in", Input((2, 6, 6))),
        ("conv", Conv(WEIGHT)),
        ("s", Spike()),
        ("flat", Flatten()),
        ("fc", Linear(np.ones((3, 32), np.float32))),
        ("t", Spike()),
        ("out", Output()),
    ]
    write_nir(chain(nodes), tmp_path / "net.nir")
    rows = lint(tmp_path / "net.nir").rows
    weights = [row for row in rows if row.node in ("conv", "fc") and row.importer != "nirtorch"]
    assert {row.outcome for row in weights} == {"keep"}
    nodes[3] = ("pool", AvgPool((2, 2), (2, 2)))
    write_nir(
        chain([*nodes[:4], ("flat", Flatten()), ("fc", Linear(np.ones((3, 8), np.float32))), *nodes[5:]]),
        tmp_path / "net.nir",
    )
    assert lint(tmp_path / "net.nir").outcome("sinabs") == "drop"
