"""What an artifact must satisfy, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from processors.toolchain.project import ProjectLimits

Impact = Literal["minor", "moderate", "serious", "critical"]


class ValidationPolicy(BaseModel):
    """Thresholds and lists of the gates. Scores lie between 0 and 1; a score below its threshold rejects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: ProjectLimits = ProjectLimits()
    """How large an artifact may be."""
    require_dist: bool = True
    """Whether the artifact must bring its built form; it is compared with our own build whenever it is there."""
    allowed_hosts: tuple[str, ...] = ("supabase.co",)
    """Hosts (and all below them) that an application may name as its server."""
    tool_imports: tuple[str, ...] = ("@playwright/test", "esbuild", "node:fs", "node:path")
    """What files outside ``src`` (tests, build script) may import beside the packages installed."""
    viewport: tuple[int, int] = (1280, 800)
    """CSS pixels, where no recording says otherwise."""
    load_timeout_s: float = 10.0
    """Until the first screen must have loaded."""
    browser_timeout_s: float = 30.0
    """For everything that is done in the browser; what takes longer loses its page. Playing a recording has as much again for each 5 screens."""
    accessibility: Impact = "critical"
    """axe-core findings of this impact or worse reject, milder ones are warnings."""
    most_links: int = 30
    """Links within the application that are followed to see whether they lead anywhere."""
    texts: float = 0.8
    """F1 of the words on the first screen, application against recording."""
    behaviour: float = 0.5
    """Share of the recorded actions that must lead to the recorded state; 0: measured and reported, never rejected. Half, since what changes on
    a screen without anybody's doing (live figures, clocks) is no fault of the application."""
    reached: float = 0.8
    """Word F1 from which a recorded state counts as reached."""
    reach_timeout_s: float = 1.5
    """How long a state may take to appear after an action."""
    most_screens: int = 60
    """Recorded screens that are played and compared; a longer recording is judged by its beginning."""
    visual: float = 0.7
    """Mean of block, text, position and colour over the states reached; 0: measured and reported, never rejected."""
    backend_timeout_s: float = 30.0
    """For one artifact's migrations and their checks."""
