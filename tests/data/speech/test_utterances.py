"""Utterances in WAV files: what is found in a folder, what a file gives, and what is refused."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from deploytool.base.errors import InputError
from deploytool.data.speech.utterances import read_wav, utterances_in

SINE = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)


def write(path: Path, wave: object = None, rate_hz: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate_hz, np.asarray(SINE if wave is None else wave, np.float32))
    return path


def test_each_subfolder_is_a_speaker(tmp_path: Path) -> None:
    for name in ("ben/2.wav", "ben/1.WAV", "anna/deep/1.wav"):
        write(tmp_path / name)
    (tmp_path / "ben" / "notes.txt").write_text("")
    found = utterances_in(tmp_path)
    assert dict(found.speakers) == {"anna": ("anna/deep/1.wav",), "ben": ("ben/1.WAV", "ben/2.wav")}
    before = found.fingerprint
    write(tmp_path / "ben" / "2.wav", SINE[:100])
    assert utterances_in(tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (None, "no such folder"),
        ([], "no folders in it; need a folder for each speaker"),
        (["anna"], "no .wav files in"),
    ],
)
def test_folders_without_utterances_are_refused(tmp_path: Path, folders: list[str] | None, says: str) -> None:
    root = tmp_path / "root"
    if folders is not None:
        root.mkdir()
    for name in folders or ():
        (root / name).mkdir()
    with pytest.raises(InputError, match=says):
        utterances_in(root)


@pytest.mark.parametrize(("kind", "top"), [("i2", 32_767), ("i4", 2**31 - 1), ("u1", 127), ("f4", 1.0)])
def test_samples_are_from_minus_1_to_1(tmp_path: Path, kind: str, top: float) -> None:
    wave = SINE * top + (128 if kind == "u1" else 0)
    wavfile.write(tmp_path / "a.wav", 16_000, (wave if kind == "f4" else np.round(wave)).astype(kind))
    assert read_wav(tmp_path / "a.wav", 16_000) == pytest.approx(SINE, abs=0.02)


def test_a_higher_rate_is_resampled(tmp_path: Path) -> None:
    found = read_wav(write(tmp_path / "a.wav"), 8000)
    assert len(found) == 8000
    assert found[100:-100] == pytest.approx(SINE[::2][100:-100], abs=0.01)


@pytest.mark.parametrize(
    ("wave", "rate_hz", "says"),
    [
        (np.stack([SINE, SINE], axis=1), 16_000, "2 channels; need one"),
        (SINE, 4000, "4000 samples per second; need at least data.rate_hz = 8000"),
        (np.zeros(100), 8000, "silent, or not finite; need an utterance"),
    ],
)
def test_files_that_are_no_utterance_are_refused(tmp_path: Path, wave: object, rate_hz: int, says: str) -> None:
    path = write(tmp_path / "a.wav", wave, rate_hz)
    with pytest.raises(InputError, match=re.escape(f"{path}: {says}")):
        read_wav(path, 8000)


def test_a_file_that_is_no_wav_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"no sound")
    with pytest.raises(InputError, match="need a WAV file"):
        read_wav(path, 8000)


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if length is None else length) + body


def wav(*chunks: bytes, mark: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return mark + struct.pack("<I", len(body)) + body


def stated(coding: int = 1, channels: int = 1, rate_hz: int = 8000, block: int = 2, bits: int = 16) -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * block, block, bits))


DATA = chunk(b"data", b"\1\0\2\0")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read (it does not begin as a WAV file)"),
        (wav(), "cannot be read (no samples in it)"),
        (wav(DATA), "cannot be read (samples before their format)"),
        (wav(stated()), "cannot be read (no samples in it)"),
        (wav(chunk(b"fmt ", b"\1\0")), "cannot be read (its format is cut short)"),
        (wav(stated(), chunk(b"data", b"\1\0", 2**31)), "cannot be read (cut short)"),
        (wav(stated(), chunk(b"data", b"\1\0\2")), "cannot be read (3 bytes of samples of 2 bytes)"),
        (wav(stated(coding=6), DATA), "cannot be read (format 6 of 16 bits in 2 bytes)"),
        (wav(stated(bits=0), DATA), "cannot be read (format 1 of 0 bits in 2 bytes)"),
        (wav(stated(block=0), DATA), "cannot be read (format 1 of 16 bits in 0 bytes)"),
        (wav(stated(channels=0), DATA), "cannot be read (format 1 of 16 bits in 2 bytes)"),
        (wav(stated(channels=2, block=4), DATA), "2 channels; need one"),
        (wav(stated(rate_hz=767_999), DATA), "767999 samples per second; need a rate of at most 200,000 Hz, or one"),
        (wav(stated(3, block=8, bits=64), chunk(b"data", struct.pack("<d", 1e300))), "silent, or not finite; need"),
        (wav(stated(3, block=4, bits=32), chunk(b"data", struct.pack("<f", 1e-44))), "silent, or not finite; need"),
        (wav(stated(3, block=4, bits=32), chunk(b"data", struct.pack("<f", np.nan))), "silent, or not finite; need"),
        (wav(stated(), chunk(b"data", b"")), "silent, or not finite; need"),
    ],
)
def test_a_damaged_wav_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {says}")):
        read_wav(path, 8000)


def test_24_bits_and_the_other_order_of_bytes_are_read(tmp_path: Path) -> None:
    path, wave = tmp_path / "a.wav", [0.5, -0.25, -1.0]
    three = b"".join(int(each * 2**23).to_bytes(3, "little", signed=True) for each in wave)
    path.write_bytes(wav(chunk(b"LIST", b"odd"), b"\0", stated(block=3, bits=24), chunk(b"data", three, 0xFFFFFFFF)))
    assert read_wav(path, 8000).tolist() == wave
    samples = (np.array(wave) * 2**15).astype(">i2").tobytes()
    fields = struct.pack(">HHIIHH", 1, 1, 8000, 16_000, 2, 16)
    body = b"WAVEfmt " + struct.pack(">I", 16) + fields + b"data" + struct.pack(">I", len(samples)) + samples
    path.write_bytes(b"RIFX" + struct.pack(">I", len(body)) + body)
    assert read_wav(path, 8000).tolist() == wave


def test_what_is_called_like_an_utterance_and_is_no_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "anna" / "1.wav")
    (tmp_path / "anna" / "2.wav").mkdir()
    with pytest.raises(InputError, match=r"2.wav: not a file; need .wav files"):
        utterances_in(tmp_path)
