"""What reconstruction may spend, and where it draws its lines."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReconstructSettings(BaseModel):
    """Limits and thresholds; the defaults are what the benchmark is run with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    """Title of the application; empty: the first heading of the first screen."""
    supabase_url: str = ""
    """Supabase project that the generated application talks to; empty: it runs on its seed rows in memory."""
    supabase_key: str = ""
    """The public (anonymous) key of that project."""
    max_screens: int = Field(default=200, ge=1)
    """Most entries of `screens`; more is refused."""
    max_items_per_screen: int = Field(default=3000, ge=1)
    """Most texts and elements on one screen; more is refused."""
    asset_bytes: int = Field(default=600_000, ge=0)
    """Bytes of all cropped pictures together; the smallest ones are kept first."""
    icon_share: float = Field(default=0.03, ge=0, le=1)
    """Share of a screen that cropped icons may cover; pictures that were pictures in the recording do not count."""
    same_state: float = Field(default=0.985, ge=0, le=1)
    """Likeness of words (F1) from which on a screen that comes back is taken for the same one."""
