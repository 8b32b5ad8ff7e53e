"""Frames of a video: luma first, colour only where asked for, and real time stamps.

Converting every frame to BGR costs four times as much as decoding it, so a :class:`Frame` gives the decoder's own luma plane as a view and
converts on demand.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np

from processors.extract.errors import (
    EmptyFile,
    NotAVideo,
    NothingDecodes,
    NoVideoStream,
    TooLarge,
    TooLong,
    TooManyFrames,
    TooManyPixels,
    TooSmall,
)
from processors.extract.settings import Limits

logging.getLogger("libav").setLevel(logging.CRITICAL)

EIGHT_BIT_LUMA = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray", "yuv440p", "yuva420p"}


@dataclass(frozen=True)
class Part:
    """A stretch of a video that is read by itself: from the key frame at ``begin`` to the first frame at or after ``end``, both included
    (``None``: to either end). Time stamps are the stream's own ticks; ``origin`` is the first frame's, in seconds.
    """

    number: int = 0
    begin: int | None = None
    end: int | None = None
    first_frame: int = 0
    origin: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is all of the video."""
        return self.begin is None and self.end is None


WHOLE = Part()


@dataclass(frozen=True)
class VideoFacts:
    """What the container says, ``width`` and ``height`` as shown (after rotation)."""

    width: int
    height: int
    fps: float
    duration_s: float
    frames: int
    codec: str
    bytes: int


class Frame:
    """One decoded frame. ``t`` is in seconds from the first frame; ``index`` counts decoded frames."""

    def __init__(self, raw: Any, t: float, index: int) -> None:
        self.raw, self.t, self.index = raw, t, index

    @property
    def key(self) -> bool:
        """Whether the codec started afresh here: low-rate codecs pulse at such frames."""
        return bool(self.raw.key_frame)

    @cached_property
    def luma(self) -> np.ndarray:
        """(height, width) uint8; a view of the decoder's buffer where the format allows it."""
        raw = self.raw
        if raw.format.name in EIGHT_BIT_LUMA:
            plane = raw.planes[0]
            view = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: raw.height, : raw.width]
        else:
            view = raw.reformat(format="gray").to_ndarray()
        return _turned(view, self.turns)

    @property
    def turns(self) -> int:
        """Quarter turns against the clock until the picture stands upright."""
        return round(float(getattr(self.raw, "rotation", 0) or 0) / 90) % 4

    def bgr(self) -> np.ndarray:
        """(height, width, 3) uint8. The stream's own matrix is used; untagged pictures are BT.601 as screen recorders write them."""
        return _turned(self.raw.to_ndarray(format="bgr24"), self.turns)


def _turned(image: np.ndarray, turns: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def probe(video: Path, limits: Limits | None = None) -> VideoFacts:
    """Look at a file's header and its first frame, and refuse what cannot or may not be read.

    :raises BadVideo: one of its kinds, see :mod:`processors.extract.errors`
    :raises FileNotFoundError: where there is no such file
    """
    limits = limits or Limits()
    size = video.stat().st_size
    if not size:
        raise EmptyFile("the file is empty")
    if size > limits.max_bytes:
        raise TooLarge(f"the file has {size} bytes, more than the {limits.max_bytes} allowed")
    with _opened(video) as container:
        stream = _stream(container)
        seconds = _seconds(container, stream)
        if seconds > limits.max_seconds:
            raise TooLong(f"the video says that it lasts {seconds:.0f} s, more than the {limits.max_seconds:.0f} s allowed")
        _check_size(stream.codec_context.width, stream.codec_context.height, limits)
        if stream.frames > limits.max_frames:
            raise TooManyFrames(f"the video says that it has {stream.frames} frames, more than the {limits.max_frames} allowed")
        frame = next(_decoded(container, stream), None)
        if frame is None:
            raise NothingDecodes("not one frame of the video can be decoded")
        first = Frame(frame, 0.0, 0)
        width, height = (frame.width, frame.height) if first.turns % 2 == 0 else (frame.height, frame.width)
        _check_size(width, height, limits)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        return VideoFacts(width, height, round(rate, 3), round(seconds, 3), stream.frames, str(stream.codec_context.name), size)


def parts(video: Path, seconds: float) -> list[Part]:
    """Where a video may be cut so that its parts can be read each by itself: at key frames, ``seconds`` apart or a little more.

    It depends on the file alone. A file that cannot be read to its end without a fault, or that does not say its frames' times, is one part.
    """
    stamps: list[tuple[int, bool]] = []
    with _opened(video) as container:
        stream = _stream(container)
        base = stream.time_base
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None and not packet.is_corrupt:
                    stamps.append((packet.pts, packet.is_keyframe))
                elif packet.size:
                    return [WHOLE]
        except av.error.FFmpegError:
            return [WHOLE]
    if base is None or not stamps:
        return [WHOLE]
    first, step = min(stamps)[0], seconds / float(base)
    cuts: list[int] = []
    last = max(stamps)[0]
    for stamp in sorted(pts for pts, key in stamps if key):
        if stamp - (cuts[-1] if cuts else first) >= step and last - stamp >= step / 2:
            cuts.append(stamp)
    ordered = sorted(pts for pts, _ in stamps)
    origin = float(first * base)
    begins, ends = [None, *cuts], [*cuts, None]
    return [
        Part(n, begin, end, bisect_left(ordered, begin) if begin is not None else 0, origin if n else None)
        for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


class Decoder:
    """Iterates over a video's frames, or those of a part of it, in order of time.

    After the loop ``damaged`` says whether something in the file could not be decoded (a truncated or corrupt file), and
    ``count`` how many frames there were. Frames whose time does not advance are dropped.
    """

    def __init__(self, video: Path, limits: Limits | None = None, part: Part = WHOLE) -> None:
        self.video, self.limits, self.part = video, limits or Limits(), part
        self.damaged = False
        self.count = 0

    def __iter__(self) -> Iterator[Frame]:
        self.damaged, self.count = False, 0
        part = self.part
        start = part.origin
        last = -1.0
        shape: tuple[int, int] | None = None
        with _opened(self.video) as container:
            stream = _stream(container)
            # Threads cost a fifth more of processors: parts are decoded side by side in processes.
            stream.thread_type = "AUTO" if part.whole else "NONE"
            rate = float(stream.average_rate or stream.guessed_rate or 30)
            if part.begin is not None:
                container.seek(part.begin, stream=stream)
            for raw in _decoded(container, stream, self._note_damage):
                if part.begin is not None and (raw.pts is None or raw.pts < part.begin):
                    continue
                stamp = raw.time if raw.time is not None else self.count / rate
                start = stamp if start is None else start
                t = round(stamp - start, 4)
                if t <= last and self.count:
                    continue
                if shape is not None and (raw.width, raw.height) != shape:
                    self.damaged = True  # a size that changes midway: boxes would have no meaning beyond
                    break
                shape = (raw.width, raw.height)
                _check_size(raw.width, raw.height, self.limits)
                if t > self.limits.max_seconds:
                    raise TooLong(f"the video lasts longer than the {self.limits.max_seconds:.0f} s allowed")
                if part.first_frame + self.count >= self.limits.max_frames:
                    raise TooManyFrames(f"the video has more than the {self.limits.max_frames} frames allowed")
                yield Frame(raw, t, part.first_frame + self.count)
                last, self.count = t, self.count + 1
                if part.end is not None and raw.pts is not None and raw.pts >= part.end:
                    break
        if not self.count:
            raise NothingDecodes("not one frame of the video can be decoded")

    def _note_damage(self) -> None:
        self.damaged = True


def _opened(video: Path) -> Any:
    if not video.stat().st_size:
        raise EmptyFile("the file is empty")
    try:
        return av.open(str(video), options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAVideo(f"no video container that can be read ({_said(error)})") from error


def _stream(container: Any) -> Any:
    """The picture stream to read: the one with most pixels, cover pictures left out."""
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise NoVideoStream("the file holds no video stream")
    return max(streams, key=lambda s: ((s.codec_context.width or 0) * (s.codec_context.height or 0), -s.index))


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return float(container.duration) / 1_000_000 if container.duration else 0.0


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooManyPixels(f"{width}x{height} is more than the {limits.max_pixels} pixels allowed")
    if min(width, height) < limits.min_side:
        raise TooSmall(f"{width}x{height} is no screen: the shorter side must have {limits.min_side} pixels")


def _decoded(container: Any, stream: Any, damaged: Any = lambda: None) -> Iterator[Any]:
    """Frames of a stream; what cannot be decoded is reported to ``damaged`` and passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the container ends in the middle of something
            damaged()
            packet = None
        if packet is None:
            break
        try:
            if packet.is_corrupt:
                damaged()
            yield from packet.decode()
        except av.error.EOFError:
            break
        except av.error.FFmpegError:
            damaged()
    try:
        yield from stream.codec_context.decode(None)
    except av.error.FFmpegError:
        return


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
