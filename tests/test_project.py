"""The first experiments on the page of the project: each block runs alone and says what is said.

Their numbers are measured once. What is asserted here does not hang on the last digit of a matrix
product, which training magnifies.
"""

import re
from functools import cache

import numpy as np
import pytest
from sources import ROOT

pytestmark = pytest.mark.slow
PAGE = (ROOT / "book" / "project.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@cache
def names_after(number):
    """What a block leaves behind."""
    names = {}
    exec(BLOCKS[number], names)
    return names


def test_there_are_three_topics_with_short_experiments():
    lines = [sum(bool(line.strip()) for line in block.splitlines()) for block in BLOCKS]
    assert len(lines) == 3
    assert max(lines) <= 25


def test_open_gates_start_rough_and_end_smooth():
    paths = names_after(0)["paths"]
    closed, opened = (np.array([found for found, _ in paths[bias]]) for bias in (0, 3))
    assert closed.shape == opened.shape == (5, 6)
    assert closed[:, 0].max() < 1 < 3 < opened[:, 0].min()
    assert (opened[:, -1] < closed[:, -1]).all()
    assert opened.max() > closed.max(axis=1).min()  # the two groups overlap
    assert closed.max(axis=1).max() > 100 * closed[:, 0].max()  # smooth start, rough path
    assert min(right for _, right in paths[3]) > 0.95 > min(right for _, right in paths[0])


def test_networks_learn_with_noise_and_their_attractors_are_named():
    found = names_after(1)["found"]
    assert sorted(found) == [(sigma, seed) for sigma in (0, 0.2) for seed in range(3)]
    for right, attractors in found.values():
        assert right > 0.95
        assert sum(one.count for one in attractors) == 40


def test_a_short_fit_does_not_sort_the_gated_networks():
    names = names_after(2)
    predicted, measured = names["predicted"], names["decades"][-1]
    assert abs(np.corrcoef(predicted, measured)[0, 1]) < 0.3
    assert (np.sum(predicted < -4), np.sum(measured < -4)) == (8, 5)
    assert np.sum((predicted < -4) & (measured < -4)) == 1
    assert measured.min() < -9
