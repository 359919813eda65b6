"""Coursework: what the notebooks of the assignments and their tests share, and what grades them.

A student's notebook imports `own_generator` and `expect`; a file of hidden tests, beside the source
of its assignment, imports `expect` and `Wrong`. The commands are those of
``python -m rnnbook.grading``.
"""

from rnnbook.grading.notebook import check_notebook
from rnnbook.grading.own import own_generator
from rnnbook.grading.testing import Report, Wrong, expect

__all__ = ["Report", "Wrong", "check_notebook", "expect", "own_generator"]
