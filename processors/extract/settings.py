"""What may be chosen about an extraction, and what a video may at most be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.names import MAX_MEDIA_BYTES


class Limits(BaseModel):
    """What is refused. Headers lie, so that lengths are checked again while frames are decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=MAX_MEDIA_BYTES, gt=0, description="size of the file")
    max_seconds: float = Field(default=4 * 3600.0, gt=0, description="time stamp of the last frame, counted from the first")
    max_frames: int = Field(default=2_000_000, gt=0, description="decoded frames")
    max_pixels: int = Field(default=3840 * 2400, gt=0, description="width times height")
    min_side: int = Field(default=64, gt=0, description="shorter side in pixels; less is no screen")


class ExtractSettings(BaseModel):
    """How a video is read. The defaults are what the figures in the project's pages were measured with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: Limits = Limits()
    workers: int = Field(default=2, ge=1, le=64, description="threads that read text; results do not depend on it")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where the OCR networks run")
    models: Path | None = Field(default=None, description="folder of the OCR networks; by default rapidocr's wheel")
    part_s: float = Field(
        default=60.0, ge=5, description="seconds of video that are read as one part: what a crash loses, what a process holds"
    )
    settle_s: float = Field(default=0.17, gt=0, description="how long nothing may change until a screen counts as settled")
    min_confidence: float = Field(default=0.55, ge=0, le=1, description="mean character confidence from which a line is kept")
