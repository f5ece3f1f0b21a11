"""Damaged files of every kind: an error with a sentence, or still a recording."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.aedat4 import aedat4
from helpers.foreign import PROGRAM, SAMPLES, read, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import DeployError, InputError
from deploytool.data.spikes.nirdata import write_nir_data
from deploytool.data.spikes.samples import Samples
from deploytool.data.spikes.write import write_arrays, write_spike_table

TABLE = 'sample,layer,t_us,c,y,x\nset/a,conv,5,3,1,2\n1,"fc",7,2,0,0\n0,input,4,1,0,0\n'
EACH = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents(folder: Path) -> dict[str, bytes]:
    """A file of each kind: {name: content}."""
    recording = read(write(folder, TABLE))
    write_spike_table(recording, folder / "table.csv")
    write_arrays(recording, folder / "all.npz")
    write_nir_data(recording, folder / "nir.h5", PROGRAM.input_shape)
    np.save(folder / "one.npy", recording.counts["conv"])
    (folder / "camera.aedat4").write_bytes(aedat4([(5, 1, 1, 0), (9, 2, 0, 1)]))
    names = ("table.csv", "all.npz", "nir.h5", "one.npy", "camera.aedat4")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_stream_of_any_compression_is_refused(tmp_path: Path, method: int) -> None:
    buffer, packed = io.BytesIO(), io.BytesIO()
    np.save(buffer, np.random.default_rng(0).integers(0, 9, (2, 4, 2, 3)))
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("conv.npy", buffer.getvalue())
    content = bytearray(packed.getvalue())
    content[60:90] = bytes(30)
    with pytest.raises(InputError, match=r"a\.npz: cannot be read"):
        read(write(tmp_path, bytes(content), "a.npz"))


@pytest.mark.parametrize("name", ["table.csv", "all.npz", "nir.h5", "one.npy", "camera.aedat4"])
@EACH
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_a_recording(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(contents(tmp_path)[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    path = write(tmp_path, bytes(content[:cut]), f"damaged-{name}")
    layer = "conv" if name in ("one.npy", "camera.aedat4") else None
    known = Samples(("a",), np.array([0])) if name == "camera.aedat4" else SAMPLES
    with contextlib.suppress(DeployError):
        assert len(read(path, known, layer=layer)) == len(known)


@EACH
@given(st.text(st.sampled_from("0123456789-+.eE\"'\r\n,;\t# nafcov/_ä\0"), max_size=60))
@example("0,fc,1,0,0,0\r1,fc,1,0,0,0\r")
@example('0,"fc')
@example("0,fc,1e400,0,0,0\n")
@example("0,fc,0x10,0,0,0\n")
@example("0,fc,1_0,0,0,0\n")
@example("\n\n\n")
def test_any_rows_are_refused_or_read(tmp_path: Path, rows: str) -> None:
    for known in (SAMPLES, None):
        with contextlib.suppress(DeployError):
            read(write(tmp_path, f"sample,layer,t_us,c,y,x\n{rows}"), known)


@EACH
@given(st.text(st.sampled_from('sampleytuxcon_,;\t"\r\n# 0'), max_size=60))
@example("sample,layer,t_us,c,y,x\r0,fc,1,0,0,0\r")
@example('"sample,layer')
@example("# a\n" * 200)
def test_any_header_is_refused_or_read(tmp_path: Path, header: str) -> None:
    with contextlib.suppress(DeployError):
        read(write(tmp_path, header), None)
