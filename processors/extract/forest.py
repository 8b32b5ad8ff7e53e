"""The forests that judge guesses: gradient-boosted trees over :mod:`evidence`, grown by ``bench.grow`` on pages of many applications.

They are a few hundred kilobytes that travel with the code, and run in onnxruntime on one thread, so that they say the same on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from processors.extract.context import WORTH
from processors.extract.evidence import KINDS

HERE = Path(__file__).parent


class Forest:
    """Trees, and the names of the ``columns`` that they were grown on."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session: Any = ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
        self.fits = any(o.name == "close" for o in self.session.get_outputs())
        self.columns = self.session.get_modelmeta().custom_metadata_map["columns"].split(" ")

    def judge(self, names: list[str], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two float32 arrays: how likely each guess is no element (column 0) or one of :data:`evidence.KINDS` (columns 1 to 9; zeros below
        :data:`context.WORTH`), which is so where it covers one by half; and how likely it is that it covers one by three quarters (zeros from the
        first forest, which is not asked).

        :raises ValueError: where the evidence is not what the forest was grown on
        """
        if names != self.columns:
            raise ValueError(f"the forest asks for {len(self.columns)} columns and is given others: it must be grown again (bench.grow)")
        if not len(rows):
            return np.zeros((0, 10), np.float32), np.zeros(0, np.float32)
        right, *close = self.session.run(["right", *(["close"] if self.fits else [])], {"rows": rows})
        chance = _logistic(right)
        judged = np.zeros((len(rows), 1 + len(KINDS)), np.float32)
        judged[:, :1] = 1 - chance
        worth = np.flatnonzero(chance[:, 0] > WORTH)  # of what is nothing nobody asks the kind
        if len(worth):
            judged[worth, 1:] = self.session.run(["kinds"], {"rows": rows[worth]})[0] * chance[worth]
        return judged, _logistic(close[0])[:, 0] if close else np.zeros(len(rows), np.float32)


def _logistic(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


@lru_cache(maxsize=1)
def forests() -> tuple[Forest, Forest]:
    """The two beside this file, opened once a process: the one that judges a guess by itself, and the one that also hears what the first said about its
    neighbours (:mod:`context`)."""
    return Forest(HERE / "elements.first.onnx"), Forest(HERE / "elements.second.onnx")
