import numpy as np
import pytest

from rnnpedagogy.growth import _student_quantile, growth_rate


def test_exact_growth_is_found_exactly():
    lengths = np.array([5, 10, 20, 40, 80])
    found = growth_rate(lengths, 0.3 * lengths - 2)
    np.testing.assert_allclose([found.rate, *found.interval], 0.3, rtol=1e-12)
    np.testing.assert_allclose(found.intercept, -2, rtol=1e-12)
    assert found.residual_std < 1e-12
    found = growth_rate(lengths, 2.5 * np.log(lengths) + 1, model="power")
    np.testing.assert_allclose([found.rate, *found.interval], 2.5, rtol=1e-12)
    np.testing.assert_allclose(found.intercept, 1, rtol=1e-12)
    bent = np.where(lengths < 20, 7.0, 0.3 * lengths)
    found = growth_rate(lengths, bent, start=20)
    np.testing.assert_allclose(found.rate, 0.3, rtol=1e-12)
    np.testing.assert_array_equal(found.lengths, [20, 40, 80])


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [  # two-sided, from the usual tables
        (0.95, 1, 12.706205),
        (0.95, 2, 4.302653),
        (0.90, 3, 2.353363),
        (0.95, 5, 2.570582),
        (0.99, 10, 3.169273),
        (0.999, 30, 3.645959),
        (0.95, 120, 1.979930),
    ],
)
def test_quantiles_of_student_are_those_of_the_tables(confidence, freedom, quantile):
    np.testing.assert_allclose(_student_quantile(confidence, freedom), quantile, rtol=3e-7)


def test_the_interval_covers_the_rate_as_often_as_it_says():
    rng, lengths = np.random.default_rng(0), np.array([10, 20, 30, 50, 80])
    hits = 0
    for noise in 0.4 * rng.normal(size=(2000, 5)):
        low, high = growth_rate(lengths, 0.1 * lengths + noise).interval
        hits += low <= 0.1 <= high
    # Three standard deviations of a count of 2000 with probability 0.95: 3 √(2000 · 0.0475) = 29.2.
    assert abs(hits - 1900) <= 29


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: growth_rate([1, 2], [1, 2]),
            ValueError,
            "lengths must hold at least three different values",
        ),
        (
            lambda: growth_rate([1, 2, 3], [1, 2, 3], start=2),
            ValueError,
            "lengths must hold at least three different values from start on",
        ),
        (lambda: growth_rate([0, 2, 3], [1, 2, 3]), ValueError, "lengths must be positive, got 0"),
        (lambda: growth_rate([1, 2, 3], [1, 2]), ValueError, r"got log_values of shape \(2,\)"),
        (lambda: growth_rate([1, 2, 3], [1, -np.inf, 2]), ValueError, "log_values must be finite"),
        (
            lambda: growth_rate([1, 2, 3], [1, 2, 3], model="linear"),
            ValueError,
            "model must be one of 'exponential', 'power', got 'linear'",
        ),
    ],
)
def test_bad_fits_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
