import numpy as np
import pytest

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import free_oscillation, oscillation


@pytest.mark.parametrize("phase", [0.0, 1.0, 4.0])
def test_an_oscillation_is_measured(phase):
    omega, amplitude, steps = (
        np.linspace(np.pi / 16, np.pi / 8, 5),
        np.array([0.5, 1, 2, 1, 1]),
        2000,
    )
    signal = 0.3 + amplitude * np.sin(omega * np.arange(steps)[:, np.newaxis] + phase)
    found = oscillation(signal)
    # Near a crossing, a sine and its chord differ by less than ω³/8 of the amplitude, which moves
    # the crossing by ω²/8 < 0.02 steps. First and last crossing are at least 2000 − 2·32 steps
    # apart. Part of a period, up to 32 steps, is left over in mean and variance.
    np.testing.assert_allclose(found.frequency, omega, rtol=2 * 0.02 / (steps - 64))
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=32 / steps)
    np.testing.assert_allclose(found.level, 0.3, atol=amplitude.max() * 32 / steps)


def test_what_does_not_oscillate_has_no_frequency():
    t = np.arange(500.0)
    noise = 1e-8 * np.random.default_rng(0).normal(size=500)
    found = oscillation(np.stack([0 * t, 0.7 + noise, t, 0.99**t], axis=1))
    assert found.frequency.tolist() == [0, 0, 0, 0]


def test_a_transient_is_left_out():
    t = np.arange(3000.0)
    signal = np.sin(0.3 * t) + 5 * 0.99**t
    found = oscillation(signal, transient=2000)
    # As above: two crossings off by 0.3²/8, about 1000 − 42 steps apart; a sum of sines is at most
    # 2/0.3, the mean that over 1000. The transient would raise the mean by 500/3000.
    np.testing.assert_allclose(found.frequency, 0.3, rtol=2.4e-5)
    assert abs(found.level) < 0.0067 < 0.15 < oscillation(signal).level


def test_a_rotation_runs_freely_at_its_own_frequency():
    # A linear network that turns by 0.25 a step whatever its input, read out in one coordinate.
    cell, turn = Elman(1, 2, activation="identity"), 0.25
    params = {
        "weight_ih": np.zeros((2, 1)),
        "weight_hh": np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]),
        "bias": np.zeros(2),
        "weight_ho": np.array([[1.0, 0.0]]),
        "bias_o": np.zeros(1),
    }
    starts = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]])
    found = free_oscillation(cell, params, np.array([0.2, 0.3, 0.4]), state=starts)
    # As above: 2 · 0.25²/8 of 2000 − 50 steps, and a period of 25 steps of 2000.
    np.testing.assert_allclose(found.frequency, [turn, turn, 0], rtol=8.1e-6)
    np.testing.assert_allclose(found.amplitude, [1, 0.5, 0], rtol=0.0125)
    assert free_oscillation(cell, params, np.array([0.2])).frequency == 0  # starts from zero


@pytest.mark.parametrize(
    ("signal", "settings", "message"),
    [
        (np.zeros(5), {"transient": 3}, "transient must leave at least 3 of 5 steps, got 3"),
        (np.zeros(5), {"transient": -1}, "transient must be an integer of at least 0"),
        (np.full(5, np.nan), {}, "signal must be finite"),
    ],
)
def test_bad_signals_are_named(signal, settings, message):
    with pytest.raises(ValueError, match=message):
        oscillation(signal, **settings)
