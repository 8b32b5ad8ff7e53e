"""Why a video cannot be read: each reason has a stable code, and a message one can show to whoever sent it."""

from __future__ import annotations


class BadVideo(ValueError):
    """The input cannot be made into features. ``reason`` is a stable code, the text says what is wrong."""

    reason = "bad_video"


class EmptyFile(BadVideo):
    reason = "empty_file"


class NotAVideo(BadVideo):
    """No container that can be read."""

    reason = "not_a_video"


class NoVideoStream(BadVideo):
    """A container without pictures: only sound, or only subtitles."""

    reason = "no_video_stream"


class NothingDecodes(BadVideo):
    """A video stream is announced, but not one frame of it can be decoded."""

    reason = "nothing_decodes"


class TooSmall(BadVideo):
    reason = "too_small"


class TooManyPixels(BadVideo):
    reason = "too_many_pixels"


class TooLong(BadVideo):
    reason = "too_long"


class TooLarge(BadVideo):
    """The file holds more bytes than allowed."""

    reason = "too_large"


class TooManyFrames(BadVideo):
    reason = "too_many_frames"
