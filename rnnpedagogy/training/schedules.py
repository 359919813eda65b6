"""Learning rates as functions of what training has come to so far."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import fraction, non_negative, positive_integer


@dataclass(frozen=True)
class StepSchedule:
    """A learning rate that is multiplied by ``factor`` at each of the milestones.

    A schedule is a function of the watched values of all finished epochs (see `train`).

    Parameters
    ----------
    rate : float
        The rate at the start.
    milestones : collection of int
        After how many epochs it changes, such as ``(400, 700)`` or ``range(100, 1000, 100)``.
    factor : float
        What it is multiplied by.
    """

    rate: float
    milestones: Collection
    factor: float = 0.1

    def __post_init__(self):
        non_negative("rate", self.rate)
        non_negative("factor", self.factor)
        for milestone in self.milestones:
            positive_integer("milestones", milestone)

    def __call__(self, watched):
        passed = sum(milestone <= len(watched) for milestone in self.milestones)
        return self.rate * self.factor**passed


@dataclass(frozen=True)
class PlateauSchedule:
    """A learning rate that is multiplied by ``factor`` where the cost no longer falls.

    A schedule is a function of the watched values of all finished epochs (see `train`).

    Parameters
    ----------
    rate : float
        The rate at the start.
    factor : float
        What it is multiplied by after ``patience`` epochs in a row without a new lowest value.
    patience : int
        At least one; counting starts again after each change.
    threshold : float
        By what part of itself the lowest value must fall to count as a new one.
    smallest : float
        The rate does not fall below this.
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    smallest: float = 0.0

    def __post_init__(self):
        for name in ("rate", "factor", "smallest"):
            non_negative(name, getattr(self, name))
        fraction("threshold", self.threshold)
        positive_integer("patience", self.patience)

    def __call__(self, watched):
        rate, lowest, waited = self.rate, np.inf, 0
        for value in watched:
            waited += 1
            if lowest == np.inf or value < lowest - self.threshold * abs(lowest):
                lowest, waited = value, 0
            if waited == self.patience:
                rate, waited = max(self.factor * rate, self.smallest), 0
        return rate
