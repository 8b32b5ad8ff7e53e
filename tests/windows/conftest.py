"""The engine tests' world, here too."""

from tests.streams.conftest import world as world
