"""A package is complete, the same every time, and runs where neither deploytool nor a board is."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import answer, invoke, network, refusal
from helpers.strangers import put_samna, run_script

from deploytool.base.errors import ArtifactError
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Add, Conv, Input, Output, Spike
from deploytool.ir.recording_file import load_recording
from deploytool.recipe import MapSection, ReadoutSection
from deploytool.store.artifact import SILENT, Artifact, Request, Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import CONFIGURATION
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.package import package as packing
from deploytool.workflow.package.package import package, random_samples

FILES = {
    "README.md",
    "CHECKLIST.md",
    "LICENSE",
    "SHA256SUMS",
    "c/speck_configuration.h",
    "check.py",
    "configuration.json",
    "emulate.py",
    "known_answer/events.npy",
    "known_answer/sent.npy",
    "known_answer/spikes.npy",
    "network.json",
    "provenance.json",
    "run.py",
}


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.4, shape).astype(np.float32)


def residual() -> Graph:
    """Branches that are added, one layer that is split, neurons that reset to zero and start above 0."""
    nodes = {
        "in": Input((2, 12, 12)),
        "c1": Conv(weights(6, 2, 3, 3), padding=(1, 1)),
        "s1": Spike(floor=-1.0),
        "c2": Conv(weights(6, 6, 3, 3, seed=1), padding=(1, 1)),
        "s2": Spike(floor=-1.0, reset="zero", v_init=0.4),
        "add": Add(),
        "c3": Conv(weights(5, 6, 3, 3, seed=2), stride=(2, 2)),
        "s3": Spike(),
        "out": Output(),
    }
    edges = [("in", "c1"), ("c1", "s1"), ("s1", "c2"), ("c2", "s2"), ("s1", "add"), ("s2", "add")]
    return Graph(nodes, (*edges, ("add", "c3"), ("c3", "s3"), ("s3", "out")))


def wide() -> Graph:
    """A layer that is split over two cores, and one that takes the spikes of both."""
    nodes = [
        ("in", Input((2, 36, 36))),
        ("c1", Conv(weights(40, 2, 3, 3), padding=(1, 1))),
        ("s1", Spike(floor=-1.0)),
        ("c2", Conv(weights(4, 40, 3, 3, seed=1), stride=(4, 4))),
        ("s2", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    return chain(nodes)


def events_file(folder: Path, number: int, shape: tuple[int, int, int]) -> Path:
    """A file of random events, 50 us apart."""
    events = np.zeros(number, EVENT)
    events["t"] = 50 * np.arange(number)
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = np.random.default_rng(1).integers(0, size, number)
    np.save(folder / "mine.npy", events)
    return folder / "mine.npy"


def packed(folder: Path, graph: Graph, *options: object, mapping: tuple[object, ...] = ()) -> Path:
    """The folder of an unpacked package of ``graph``."""
    write_nir(graph, folder / "net.nir")
    assert invoke(folder, "map", folder / "net.nir", *mapping).exit_code == 0
    done = answer(invoke(folder, "package", "program@latest", "-o", folder / "net.zip", *options, "--json"))
    assert done["written"] == str(folder / "net.zip")
    assert done["sha256"] == hashlib.sha256((folder / "net.zip").read_bytes()).hexdigest()
    with zipfile.ZipFile(folder / "net.zip") as archive:
        archive.extractall(folder / "unpacked")
        assert [f"{done['program']}/{file['file']}" for file in done["files"]] == archive.namelist()
    (only,) = (folder / "unpacked").iterdir()
    return only


@pytest.mark.parametrize(
    ("graph", "tolerance"), [(network(), 0), (residual(), 0), (wide(), 5)], ids=["chain", "residual", "split"]
)
def test_a_stranger_checks_emulates_and_runs_it(tmp_path: Path, graph: Graph, tolerance: int) -> None:
    """The stand-in sends the spikes of one part of a split layer after those of the other, which is not our order."""
    shape = graph.shapes["in"]
    folder = packed(tmp_path, graph, "--data", events_file(tmp_path, 100, (2, shape[1] // 2, shape[2] // 2)))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == FILES
    assert run_script(folder, "check.py").returncode == 0
    put_samna(folder)
    for script, percent in (("emulate.py", 0), ("run.py", tolerance)):
        done = run_script(folder, script)
        assert done.returncode == 0, done.stderr
        checked = run_script(folder, "check.py", "answer.npy", "--tolerance", str(percent))
        assert checked.returncode == 0, checked.stdout
        assert "passed" in checked.stdout
        for core in json.loads((folder / "network.json").read_text())["cores"]:
            assert f"core {core['core']} ({core['layer']}): 0 spikes" not in checked.stdout
        (folder / "answer.npy").unlink()


@pytest.mark.parametrize("graph", [network(), wide()], ids=["chain", "split"])
def test_an_answer_comes_back_as_a_recording(tmp_path: Path, graph: Graph) -> None:
    shape = graph.shapes["in"]
    events = events_file(tmp_path, 40, (2, shape[1] // 2, shape[2] // 2))
    folder = packed(tmp_path, graph, "--data", events)
    assert run_script(folder, "emulate.py").returncode == 0
    own = answer(invoke(tmp_path, "run", "program@latest", "--data", events, "--rasters", 1, "--json"))["artifact"]
    rest = ("--program", "program@latest", "--rung", "board", "--samples-of", own, "--json")
    came = answer(invoke(tmp_path, "import-recording", folder / "answer.npy", *rest))["artifact"]
    store = Store(tmp_path / "store")
    sent, back = load_recording(store.get(own).path), load_recording(store.get(came).path)
    assert {name: maps.sum() > 0 for name, maps in back.counts.items()} == dict.fromkeys(sent.counts, True)
    for name, maps in sent.counts.items():
        assert np.array_equal(np.asarray(maps), np.asarray(back.counts[name])), name


def test_an_answer_that_differs_fails_and_a_damaged_package_is_told(tmp_path: Path) -> None:
    folder = packed(tmp_path, network(), "--samples", 1)
    spikes = np.load(folder / "known_answer" / "spikes.npy")
    np.save(folder / "answer.npy", spikes[1:])
    done = run_script(folder, "check.py", "answer.npy")
    assert (done.returncode, "1 differ" in done.stdout, "failed" in done.stdout) == (1, True, True)
    assert run_script(folder, "check.py", "answer.npy", "--tolerance", "1").returncode == 0
    foreign = spikes.copy()
    foreign["core"] = 8
    np.save(folder / "answer.npy", np.concatenate([spikes, foreign]))
    assert run_script(folder, "check.py", "answer.npy").returncode == 1
    np.save(folder / "answer.npy", np.zeros(3))
    assert run_script(folder, "check.py", "answer.npy").returncode == 2
    (folder / "run.py").write_text("changed")
    done = run_script(folder, "check.py")
    assert (done.returncode, done.stdout) == (2, "run.py: its content does not match SHA256SUMS\n")


def test_the_runner_refuses_a_placeholder_and_says_which_board_it_needs(tmp_path: Path) -> None:
    folder = packed(tmp_path, network(), "--samples", 1)
    assert "samna is missing, or PyPI's placeholder" in run_script(folder, "run.py").stderr
    put_samna(folder, device="Speck2fDevKit")
    assert "no board is connected: one of Speck2eDevKit" in run_script(folder, "run.py").stderr
    (folder / "samna" / "driver.so").unlink()
    assert "samna is missing, or PyPI's placeholder" in run_script(folder, "run.py").stderr


def test_equal_packages_are_equal_byte_for_byte(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        packed(tmp_path / name, network(), "--samples", 1)
        archives.append((tmp_path / name / "net.zip").read_bytes())
    assert archives[0] == archives[1]
    assert str(tmp_path).encode() not in archives[0]


def test_the_readout_widens_the_last_layer_and_not_the_classes(tmp_path: Path) -> None:
    nodes = [("in", Input((2, 6, 6))), ("fc", Conv(weights(3, 2, 6, 6))), ("s", Spike(floor=-1.0)), ("out", Output())]
    write_nir(chain(nodes), tmp_path / "net.nir")
    cache = StageCache(Store(tmp_path / "store"), SILENT)
    graph = convert(cache, str(tmp_path / "net.nir"))
    program = map_graph(cache, graph, spec=MapSection(readout=ReadoutSection(average=16)))
    package(cache, program.name, tmp_path / "net.zip", random_samples(1))
    with zipfile.ZipFile(tmp_path / "net.zip") as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / program.name
    network = json.loads((folder / "network.json").read_text())
    assert [feature for _, feature, _, _ in network["classes"]] == [0, 4, 8]
    assert 0 <= network["samples"][0]["answer"] < 3
    assert run_script(folder, "emulate.py").returncode == 0
    checked = run_script(folder, "check.py", "answer.npy")
    assert (checked.returncode, "as expected" in checked.stdout) == (0, True)


def header_values(folder: Path, include: Path) -> list[int]:
    """Everything in the header of ``include``, as a C program that includes it prints it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "main.c").write_text(
        '#include <stdio.h>\n#include "speck_configuration.h"\n'
        "int main(void) {\n"
        "    for (int i = 0; i < SPECK_CORE_COUNT; i++) {\n"
        "        const speck_core_t *core = &speck_cores[i];\n"
        '        printf("%d %d %d %d ", core->core, core->threshold_high, core->threshold_low, core->return_to_zero);\n'
        '        printf("%d %d ", core->destinations[0].core, core->destinations[0].pooling);\n'
        '        for (uint32_t w = 0; w < core->weight_count; w++) printf("%d ", core->weights[w]);\n'
        "    }\n    return 0;\n}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{include}"]
    subprocess.run([compiler, *flags, "main.c", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([str(folder / "main")], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_the_header_compiles_and_holds_the_configuration(tmp_path: Path) -> None:
    folder = packed(tmp_path, residual(), "--samples", 1)
    wanted: list[int] = []
    for core, layer in enumerate(json.loads((folder / "configuration.json").read_text())["cnn_layers"]):
        if layer is not None:
            to = layer["destinations"][0]
            wanted += [core, layer["threshold_high"], layer["threshold_low"], int(layer["return_to_zero"])]
            wanted += [to["layer"], to["pooling"], *np.array(layer["weights"]).ravel().tolist()]
    assert header_values(tmp_path, folder / "c") == wanted


def test_names_of_layers_cannot_break_any_file(tmp_path: Path) -> None:
    hostile = 'a|b"*#`<x>\\\n\x1b[31m??'
    plain = network()
    named = {hostile if name == "if" else name: node for name, node in plain.nodes.items()}
    edges = tuple((hostile if a == "if" else a, hostile if b == "if" else b) for a, b in plain.edges)
    graph = replace(plain, nodes=named, edges=edges)
    layers = {f"{hostile}{name}" if name == "conv" else name: node for name, node in graph.nodes.items()}
    edges = tuple((f"{hostile}{a}" if a == "conv" else a, f"{hostile}{b}" if b == "conv" else b) for a, b in edges)
    folder = packed(tmp_path, replace(graph, nodes=layers, edges=edges), "--samples", 1)
    cores = json.loads((folder / "network.json").read_text())["cores"]
    assert hostile in cores[0]["layer"]
    header_values(tmp_path, folder / "c")
    row = next(line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| 0 |"))
    assert row.count("|") == 4
    assert "<x>" not in row
    run_script(folder, "emulate.py")
    assert "\x1b" not in run_script(folder, "check.py", "answer.npy").stdout


def with_field(store: Store, program: str, field: str) -> Artifact:
    """``program`` with ``field`` of its first core turned on in the configuration."""
    path = store.get(program).path
    configuration = json.loads((path / CONFIGURATION).read_text())
    next(filter(None, configuration["cnn_layers"]))[field] = True

    def write(folder: Path) -> None:
        for name in store.get(program).manifest.files:
            shutil.copyfile(path / name, folder / name)
        (folder / CONFIGURATION).write_text(json.dumps(configuration))

    return store.put(Request("program", {"graph": field}, {}), write)


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_nir(network(), tmp_path / "net.nir")
    programs: dict[str, Any] = {
        "chip": answer(invoke(tmp_path, "map", "net.nir", "--json"))["artifact"],
        "simulator": answer(invoke(tmp_path, "map", "net.nir", "--target", "simulator", "--json"))["artifact"],
    }
    store = Store(tmp_path / "store")
    for field in ("leak_enable", "output_decimator_enable"):
        programs[field] = with_field(store, programs["chip"], field).name
    for program, options, sentence, code in (
        ("chip", ("-o", "net.tar"), "the suffix .tar; need a file with the suffix .zip", 2),
        ("chip", ("-o", "no/net.zip"), "a folder that does not exist", 2),
        ("chip", ("-o", "net.zip", "--root", "x"), "--root: given without --data", 2),
        ("simulator", ("-o", "net.zip"), "which has no configuration of a chip; need a program mapped for a chip", 6),
        ("leak_enable", ("-o", "net.zip"), "layer 'conv': has a bias, which leaks with the chip's slow clock", 6),
        ("output_decimator_enable", ("-o", "net.zip"), "layer 'conv': has an output decimator", 6),
    ):
        assert sentence in refusal(invoke(tmp_path, "package", programs[program], *options), code)
    assert not (tmp_path / "net.zip").exists()
    assert "a graph; need a program" in refusal(invoke(tmp_path, "package", "graph@latest", "-o", "net.zip"), 4)


def test_the_laboratory_takes_chains_of_a_sensors_events(tmp_path: Path) -> None:
    write_nir(residual(), tmp_path / "net.nir")
    assert invoke(tmp_path, "map", tmp_path / "net.nir").exit_code == 0
    said = refusal(invoke(tmp_path, "package", "program@latest", "-o", tmp_path / "net.zip", "--vlab"), 6)
    assert "branches; need a chain of layers" in said
    assert "do not start at 0" in said


COUNTED = """
import json, pickle, runpy, torch, samna
runpy.run_path("vlab/make_bundle.py", run_name="__main__")
made = torch.load("snn.pth", weights_only=False)
samples = pickle.load(open("dataset.pkl", "rb"))
steps = torch.zeros(len(samples[0]), *made["input_shape"])
for number, event in enumerate(samples[0]):
    steps[number, int(event.p), event.y, event.x] = 1
counts, values = [], steps
with torch.no_grad():
    for layer in made["model"]:
        values = layer(values)
        if type(layer).__name__ == "IAFSqueeze":
            counts.append(int(values.sum()))
print(json.dumps([len(samples), made["input_shape"], counts]))
"""


def test_the_laboratorys_bundle_is_the_network_and_the_samples(tmp_path: Path) -> None:
    """One time step for every event: then a torch network fires as often as the chip, unless it fires twice at once."""
    pytest.importorskip("torch")
    pytest.importorskip("sinabs")
    events = events_file(tmp_path, 60, (2, 16, 16))
    folder = packed(tmp_path, network(), "--data", events, "--vlab")
    put_samna(folder)
    (folder / "count.py").write_text(COUNTED)
    done = run_script(folder, "count.py")
    assert done.returncode == 0, done.stderr
    said, found = done.stdout.splitlines()
    assert said == "wrote the pickles snn.pth and dataset.pkl"
    samples, shape, counts = json.loads(found)
    assert (samples, shape) == (1, [2, 16, 16])
    spikes = np.load(folder / "known_answer" / "spikes.npy")
    cores = [core["core"] for core in json.loads((folder / "network.json").read_text())["cores"]]
    assert counts == [int((spikes["core"] == core).sum()) for core in cores]


def test_a_place_that_cannot_be_written_is_refused_before_the_answer_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(errno.EROFS, "Read-only file system")

    def compute(*_: object) -> None:
        raise AssertionError("the answer was computed")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(packing, "_answer", compute)
    cache = StageCache(Store(tmp_path / "store", SILENT), SILENT)
    with pytest.raises(ArtifactError, match=r"net\.zip: cannot be written \(Read-only file system\); need a writable"):
        package(cache, "zoo:digits", tmp_path / "net.zip")
