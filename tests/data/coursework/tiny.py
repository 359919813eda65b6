"""Hidden tests of the tiny assignment that the tests of the grading use."""

import numpy as np
from rnnbook.grading import expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def mean(student, report, rng, own):
    def right(x):
        return float(np.mean(np.square(np.asarray(x, float))))

    with report("vectors", 3):
        x = rng.normal(size=7)
        expect(student.mean_square(x), right(x), "your mean of squares")
    with report("matrices", 2):
        x = rng.normal(size=(3, 2))
        expect(student.mean_square(x), right(x), "your mean of squares")
    with report("integers", 1):
        x = rng.integers(100, 120, size=4).astype(np.int8)
        expect(student.mean_square(x), right(x), "your mean of squares")


def largest(student, report, rng, own):
    with report("the largest number of your own data", 4):
        expect(student.value("largest"), own("own").normal(size=5).max(), "your largest number")


TASKS = {"mean": mean, "own": largest}
