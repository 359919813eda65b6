"""Tests that teach: a value is compared, and what is wrong with it is said in a sentence."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np


class Wrong(AssertionError):  # noqa: N818 – it is read as "wrong: your gradient …"
    """An answer is wrong; its text is the sentence that the student reads."""


class Property(NamedTuple):
    """One property of an answer: what was tested, what it is worth, and what was wrong."""

    label: str
    points: float
    wrong: str | None

    @property
    def earned(self):
        return 0.0 if self.wrong else self.points


class Report(list):
    """The properties of one task, in the order of the tests.

    ``with report("other shapes", 2): …`` tests a property worth two points. A `Wrong` inside loses
    them and nothing else: what follows the block is tested as well. Any other error of the test
    does as well, for answers can have any form; `problems` tells the teacher.
    """

    unfinished = None

    def __init__(self):
        super().__init__()
        self.problems = []

    @contextmanager
    def __call__(self, label, points):
        wrong = None
        try:
            yield
        except Wrong as reason:
            wrong = str(reason)
        except Exception as problem:
            wrong = "the test cannot use this answer"
            self.problems.append(f"{label}: {type(problem).__name__}: {problem}")
        self.append(Property(label, points, wrong))

    @property
    def earned(self):
        return sum(one.earned for one in self)

    @property
    def points(self):
        return sum(one.points for one in self)


def expect(value, correct, what, *, rtol=1e-8, atol=0.0, mistakes=None):
    """Compare an answer with what is correct.

    Parameters
    ----------
    value : object
        The answer, whatever it is.
    correct : array_like
        What it should be, up to ``atol + rtol * abs(correct)`` in every entry.
    what : str
        What the answer is, as the beginning of a sentence: ``"your gradient"``.
    rtol, atol : float, optional
    mistakes : dict of str to array_like, optional
        Answers that a known mistake leads to, each under the sentence that names it.

    Raises
    ------
    Wrong
        With a sentence that says what is the matter. It does not give the correct value.
    TypeError
        If anything but `value` is not what it must be.

    Examples
    --------
    >>> from rnnbook.grading import expect
    >>> expect([1.0, 4.0], [1, 4], "your list of squares")
    >>> expect([1.0, -4.0], [1, 4], "your list of squares")
    Traceback (most recent call last):
    rnnbook.grading.testing.Wrong: your list of squares is wrong
    """
    correct = _checked(correct, what, rtol, atol, mistakes)
    if value is None:
        raise Wrong(f"{what} is None: is there a `return`?")
    try:
        array = _numbers(value)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{what} is no number and no array of numbers") from None

    def agrees(other):
        other = _numbers(other)
        return array.shape == other.shape and bool(
            np.all(np.abs(array - other) <= atol + rtol * np.abs(other))
        )

    if agrees(correct):
        return
    for sentence, wrong in (mistakes or {}).items():
        if agrees(wrong):
            raise Wrong(sentence)
    if array.shape != correct.shape:
        raise Wrong(f"{what} has shape {array.shape}, it should have {correct.shape}")
    if not np.all(np.isfinite(array)):
        raise Wrong(f"{what} is not finite everywhere")
    raise Wrong(f"{what} is wrong{_factor(array, correct, max(rtol, 1e-6))}")


def _numbers(value):
    """An array of floating-point or complex numbers: the difference of others may be none."""
    array = np.asarray(value)
    return array.astype(complex if array.dtype.kind == "c" else float)


def _checked(correct, what, rtol, atol, mistakes):
    """What a test compares with, as an array."""
    if not isinstance(what, str) or not what:
        raise TypeError(f"what must be a text, got {what!r}")
    for name, bound in {"rtol": rtol, "atol": atol}.items():
        if not isinstance(bound, int | float) or not bound >= 0:
            raise TypeError(f"{name} must be a number that is not negative, got {bound!r}")
    if mistakes is not None and not isinstance(mistakes, dict):
        raise TypeError(f"mistakes must be a dictionary of sentences, got {mistakes!r}")
    try:
        array = np.asarray(correct)
        if array.dtype.kind in "biufc":
            return array
    except ValueError:
        pass
    raise TypeError(f"correct must be a number or an array of numbers, got {correct!r}")


def _factor(array, correct, rtol):
    """What to add where all entries are wrong by one factor."""
    if np.allclose(array, correct, rtol=1e-3, atol=0):
        return ", by less than one part in a thousand"
    large = np.abs(correct) > 0
    if not np.any(large) or np.iscomplexobj(array):
        return ""
    ratios = (array[large] / correct[large]).real
    ratio = float(ratios.flat[0])
    if ratio == 0 or not np.allclose(ratios, ratio, rtol=rtol, atol=0) or np.any(array[~large]):
        return ""
    if np.isclose(ratio, -1):
        return ": its sign is"
    if correct.size == 1:
        return ": it is too large" if abs(ratio) > 1 else ": it is too small"
    return f": it is {ratio:.3g} times what it should be"
