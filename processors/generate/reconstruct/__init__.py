"""From a recording's features to a React + TypeScript application. Pure: no clock, no network, no model."""

from .model import FeaturesError
from .project import reconstruct
from .settings import ReconstructSettings

__all__ = ["FeaturesError", "ReconstructSettings", "reconstruct"]
