"""What is out of the ordinary: a value more than three standard deviations above what was usual.

The baseline is Welford's mean and variance, with the count held at a day of minutes, after which it forgets exponentially. An outlier is taken in
only as far as the edge of what is usual, so that it neither hides the next one nor is ignored for ever should it become the new usual.

No season is modelled: where nights differ from days, the deviation is wide enough to hold both, and a change within it goes unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

SIGMAS = 3.0
LEAST = 30
"""Values before anything is called unusual."""
MOST = 1440


@dataclass(frozen=True, slots=True)
class Judged:
    """A value beside its baseline, as it was before the value."""

    observed: float
    expected: float
    sigma: float
    """How many deviations above the expected (negative: below)."""
    enough: bool
    """Whether the baseline knows enough to judge."""

    @property
    def unusual(self) -> bool:
        return self.enough and self.sigma > SIGMAS


@dataclass(slots=True)
class Baseline:
    """Of one metric of one subject. ``floor`` is the smallest deviation that is believed: five hundredths of the mean, at least ``least_deviation``."""

    least_deviation: float
    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    """Sum of squared deviations from the mean (Welford 1962)."""

    @property
    def deviation(self) -> float:
        spread = sqrt(self.m2 / (self.count - 1)) if self.count > 1 else 0.0
        return max(spread, 0.05 * abs(self.mean), self.least_deviation)

    def judge(self, value: float) -> Judged:
        return Judged(value, self.mean, (value - self.mean) / self.deviation, self.count >= LEAST)

    def learn(self, value: float) -> None:
        if self.count >= LEAST:
            edge = SIGMAS * self.deviation
            value = min(max(value, self.mean - edge), self.mean + edge)
        if self.count < MOST:
            self.count += 1
        else:
            self.m2 *= (MOST - 1) / MOST
        step = value - self.mean
        self.mean += step / self.count
        self.m2 += step * (value - self.mean)
