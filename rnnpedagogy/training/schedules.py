"""Learning rates as functions of what training has come to so far."""

from collections.abc import Collection
from dataclasses import dataclass

from rnnpedagogy._validation import all_of, non_negative, positive_integer, takes


@takes(rate=non_negative, milestones=all_of(positive_integer))
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

    def __call__(self, watched):
        passed = sum(milestone <= len(watched) for milestone in self.milestones)
        return self.rate * self.factor**passed
