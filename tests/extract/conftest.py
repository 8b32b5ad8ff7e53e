from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.extract import made


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Writes frames (BGR) as an H.264 file and gives its path."""

    def write(frames: Sequence[np.ndarray], name: str = "made.mp4", codec: str = "libx264", stamps: Sequence[int] | None = None) -> Path:
        return made.video(tmp_path / name, frames, codec=codec, stamps=stamps, options=made.FINE if codec == "libx264" else {})

    return write
