"""The two PP-OCRv6 networks that lie inside rapidocr's wheel, opened by onnxruntime directly.

Only files on this machine are opened. rapidocr itself is never imported: its pipeline looks for downloads, and upscales small
crops. What is used of it is its wheel's folder ``models`` (Apache-2.0).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort

from processors.remembered import Remembered

T = TypeVar("T")
REMEMBERED = 3000  # answers of a network that a process keeps
DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"


class ModelsMissing(RuntimeError):
    """The OCR networks are not where they should be: rapidocr 3.10 is not installed, or not whole."""


@dataclass(frozen=True)
class Network:
    """One open network.

    ``session`` may be run from several threads at once; each run uses one thread, so that results do not depend on how many
    cores there are. ``provider`` is the execution provider that onnxruntime really chose.
    """

    session: Any
    input_name: str
    provider: str
    known: Remembered[Any] = field(default_factory=lambda: Remembered(REMEMBERED), compare=False)

    def once(self, picture: np.ndarray, ask: Callable[[np.ndarray], T]) -> T:
        """What ``ask`` says about a picture: a screen that rests over a cut, or comes again in another part of a video, is read once a process. What
        is answered does not depend on it."""
        answer: T = self.known.get(lambda: ask(picture), picture.tobytes(), str(picture.shape).encode())
        return answer

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run on float32 ``(n, 3, h, w)``; the first output comes back."""
        return np.asarray(self.session.run(None, {self.input_name: batch})[0])


def model_folder() -> Path:
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise ModelsMissing("the package rapidocr (3.10) is not installed; its wheel holds the OCR networks")
    return Path(spec.origin).parent / "models"


def providers(device: str) -> list[str]:
    """Execution providers to ask for. CUDA is named only where the libraries it needs can be loaded."""
    have = ort.get_available_providers()
    if device == "cpu" or "CUDAExecutionProvider" not in have:
        return ["CPUExecutionProvider"]
    if not _cuda_is_there():
        if device == "cuda":
            raise ModelsMissing("CUDA was asked for, but no usable NVIDIA driver was found")
        return ["CPUExecutionProvider"]
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _cuda_is_there() -> bool:
    """Whether the driver is there and names a device: asked first, because onnxruntime complains loudly where it is not."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


@lru_cache(maxsize=4)
def open_network(name: str, device: str = "auto", folder: Path | None = None) -> Network:
    """Open one of the networks, once a process.

    :raises ModelsMissing: where its file is not there, or ``device`` is ``cuda`` and there is none
    """
    path = (folder or model_folder()) / name
    if not path.is_file():
        raise ModelsMissing(f"{path.name} is not in {path.parent}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # shapes differ in every run: an arena would only grow
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), sess_options=options, providers=providers(device))
    return Network(session, session.get_inputs()[0].name, session.get_providers()[0])
