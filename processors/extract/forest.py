"""The forests that judge guesses: gradient-boosted trees over :mod:`evidence`, grown by ``bench.grow`` on pages of many applications.

They are a few hundred kilobytes that travel with the code, and run in onnxruntime on one thread, so that they say the same on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).parent


class Forest:
    """Trees, and the names of the ``columns`` that they were grown on."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session: Any = ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
        self.columns = self.session.get_modelmeta().custom_metadata_map["columns"].split(" ")

    def judge(self, names: list[str], rows: np.ndarray) -> np.ndarray:
        """How likely each guess is no element (column 0) or one of :data:`evidence.KINDS` (columns 1 to 9), float32.

        :raises ValueError: where the evidence is not what the forest was grown on
        """
        if names != self.columns:
            raise ValueError(f"the forest asks for {len(self.columns)} columns and is given others: it must be grown again (bench.grow)")
        if not len(rows):
            return np.zeros((0, 10), np.float32)
        return np.asarray(self.session.run(["probabilities"], {"rows": rows})[0])


@lru_cache(maxsize=1)
def forests() -> tuple[Forest, Forest]:
    """The two beside this file, opened once a process: the one that judges a guess by itself, and the one that also hears what the first said about its
    neighbours (:mod:`context`)."""
    return Forest(HERE / "elements.first.onnx"), Forest(HERE / "elements.second.onnx")
