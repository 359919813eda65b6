"""Memory under noise: against closed forms, against other implementations, and what must hold."""

import numpy as np
import pytest
from strategies import ALL_CELLS, every_cell_of_all

from rnnpedagogy.cells import Elman
from rnnpedagogy.memory import linear_memory, memory_function, noisy_rollout
from rnnpedagogy.rollout import rollout


def stable(rng, n, radius):
    A = rng.normal(size=(n, n))
    return radius * A / np.abs(np.linalg.eigvals(A)).max()


def simulated(A, B, noise, rng, steps, sequences):
    """States and inputs of a linear network, and both without the first 200 steps."""
    n, m = B.shape
    params = {"weight_ih": B, "weight_hh": A, "bias": np.zeros(n)}
    u = rng.normal(size=(steps + 200, sequences, m))
    x = noisy_rollout(Elman(m, n, activation="identity"), params, np.zeros(n), u, noise, rng)
    return x[200:], u[200:]


# Closed forms


@pytest.mark.parametrize("a", [0.0, 0.3, -0.9, 0.999])
@pytest.mark.parametrize("s", [0.0, 0.1, 2.0])
def test_one_linear_neuron(a, s):
    found = linear_memory(np.array([[a]]), np.ones((1, 1)), np.array([s]), 20)
    expected = (1 - a**2) * a ** (2 * np.arange(20)) / (1 + s**2)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_delay_line_forgets_by_what_noise_adds():
    # x_j holds u of j steps ago and the noise of j + 1 steps.
    A, B, s = np.eye(5, k=-1), np.eye(5)[:, :1], 0.5
    found = linear_memory(A, B, np.full(5, s), 7)
    np.testing.assert_allclose(found[:5], 1 / (1 + s**2 * np.arange(1, 6)), rtol=1e-12)
    np.testing.assert_array_equal(found[5:], 0)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 1), (4, 2)])
@pytest.mark.parametrize("radius", [0.2, 0.8, 0.95])
def test_without_noise_memory_is_the_number_of_units_whatever_the_radius(n, m, radius):
    rng = np.random.default_rng(0)
    A, B = stable(rng, n, radius), rng.normal(size=(n, m))
    assert linear_memory(A, B, np.zeros(n), 800).sum() == pytest.approx(n / m, rel=1e-4)
    assert linear_memory(A, B, np.full(n, 0.1), 800).sum() < n / m - 1e-3


# Independent implementations


def test_the_covariance_is_that_of_a_linear_system_of_equations():
    rng = np.random.default_rng(1)
    A, B, s = stable(rng, 6, 0.9), rng.normal(size=(6, 2)), rng.uniform(0.1, 1, 6)
    right = B @ B.T + np.diag(s**2)
    C = np.linalg.solve(np.eye(36) - np.kron(A, A), right.ravel()).reshape(6, 6)
    powers = [np.linalg.matrix_power(A, k) @ B for k in range(30)]
    expected = [np.trace(P.T @ np.linalg.inv(C) @ P) / 2 for P in powers]
    np.testing.assert_allclose(linear_memory(A, B, s, 30), expected, rtol=1e-9)


@pytest.mark.parametrize("radius", [0.5, 0.95])
def test_a_measured_memory_is_the_computed_one(radius):
    rng = np.random.default_rng(2)
    A, B, s = stable(rng, 8, radius), rng.normal(size=(8, 2)), np.full(8, 0.3)
    x, u = simulated(A, B, s, rng, 400, 64)
    found = memory_function(x, u, 30)
    # The last quarter has about 6,000 independent samples: a standard error of at most .02.
    np.testing.assert_allclose(found, linear_memory(A, B, s, 30), atol=0.06)
    assert found.sum() == pytest.approx(linear_memory(A, B, s, 30).sum(), abs=0.2)


def test_it_is_the_error_of_least_squares_on_other_data():
    rng = np.random.default_rng(3)
    u = rng.normal(size=(300, 40, 1))
    x = np.concatenate([u, np.tanh(np.roll(u, 1, axis=0)), rng.normal(size=u.shape)], axis=-1)
    past = u[4:, :, 0], u[3:-1, :, 0]
    expected = []
    for y in past:
        design = np.concatenate([np.ones_like(x[4:, ..., :1]), x[4:]], axis=-1)
        fit = np.linalg.lstsq(design[:, :20].reshape(-1, 4), y[:, :20].ravel(), rcond=None)[0]
        error = y[:, 30:] - design[:, 30:] @ fit
        expected.append(1 - (error**2).sum() / ((y[:, 30:] - y[:, :20].mean()) ** 2).sum())
    found = memory_function(x, u, 4)
    np.testing.assert_allclose(found[:2], expected, atol=1e-3)
    np.testing.assert_allclose(found[2:], 0, atol=0.02)


@every_cell_of_all
def test_without_noise_it_is_the_rollout(kind):
    rng = np.random.default_rng(4)
    cell = ALL_CELLS[kind](2, 3)
    params = cell.init_params(rng)
    inputs, state = rng.normal(size=(7, 3, cell.input_size)), np.zeros(cell.state_size)
    found = noisy_rollout(cell, params, state, inputs, np.zeros(cell.state_size), rng)
    expected = rollout(cell, params, np.zeros((3, cell.state_size)), inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


# Properties


def test_noise_enters_each_entry_at_each_step_with_its_own_size():
    rng, cell = np.random.default_rng(5), Elman(1, 3)
    params = {k: np.stack([v, 2 * v]) for k, v in cell.init_params(rng).items()}
    scale, u = np.array([0.0, 0.1, 0.5]), rng.normal(size=(400, 50, 2, 1))
    x = noisy_rollout(cell, params, np.zeros(3), u, scale, rng)
    assert x.shape == (400, 50, 2, 3)
    xi = x[1:] - cell.step(params, x[:-1], u[1:])
    np.testing.assert_allclose(xi.std(axis=(0, 1)), np.stack([scale] * 2), rtol=0.03, atol=1e-12)
    assert abs(np.mean(xi[1:] * xi[:-1])) < 1e-3


def test_noise_broadcasts_and_the_type_is_kept():
    rng, cell = np.random.default_rng(6), Elman(1, 2)
    params = cell.init_params(rng, dtype=np.float32)
    u, noise = np.zeros((5, 3, 1), np.float32), np.zeros((3, 2), np.float32)
    assert noisy_rollout(cell, params, noise, u, noise, rng).dtype == np.float32
    with pytest.raises(ValueError, match="noise and the run must broadcast"):
        noisy_rollout(cell, params, noise[:1], u, np.zeros((2, 2)), rng)
    with pytest.raises(ValueError, match="noise must not be negative, got -1"):
        noisy_rollout(cell, params, noise, u, np.array([0.0, -1.0]), rng)


def test_what_is_learned_by_heart_does_not_count():
    rng = np.random.default_rng(7)
    found = memory_function(rng.normal(size=(60, 16, 200)), rng.normal(size=(60, 16, 1)), 40)
    assert abs(found.sum()) < 0.5  # fitted: 200 weights for each of 160 samples


def test_units_do_not_matter():
    rng = np.random.default_rng(8)
    x, u = simulated(stable(rng, 4, 0.8), np.ones((4, 1)), np.full(4, 0.1), rng, 60, 8)
    first = memory_function(x, u, 10)
    again = memory_function(x * np.array([1e-3, 1.0, 5.0, 1e4]) + 3, 7 - 2 * u, 10)
    np.testing.assert_allclose(again, first, atol=1e-9)


def test_an_entry_that_does_not_move_tells_nothing():
    rng = np.random.default_rng(9)
    u = rng.normal(size=(50, 8, 1))
    x = np.concatenate([u, np.ones_like(u)], axis=-1)
    assert memory_function(x, u, 2)[0] == pytest.approx(1, abs=1e-6)


def test_an_entry_that_hardly_ever_moves_does_not_spoil_the_others():
    rng = np.random.default_rng(10)
    u = rng.normal(size=(100, 40, 1))
    rare = 1e-9 * rng.normal(size=u.shape)
    rare[50, 35] = 1.0  # once, on the last quarter
    found = memory_function(np.concatenate([u, rare], axis=-1), u, 3)
    assert found[0] == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(found[1:], 0, atol=0.05)


# Bad input


@pytest.mark.parametrize(
    ("sizes", "lags", "message"),
    [
        ((9, 3), 2, "at least 4 sequences of more than lags = 2 steps, got 3 of 9"),
        ((9, 4), 9, "at least 4 sequences of more than lags = 9 steps, got 4 of 9"),
    ],
)
def test_too_little_data_is_refused(sizes, lags, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        memory_function(rng.normal(size=(*sizes, 2)), rng.normal(size=(*sizes, 1)), lags)


def test_constant_inputs_are_refused():
    with pytest.raises(ValueError, match="inputs must vary"):
        memory_function(np.random.default_rng(0).normal(size=(9, 4, 2)), np.ones((9, 4, 1)), 3)


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.eye(2), "A must have a spectral radius below 1, got 1"),
        (-1.5 * np.eye(2), "A must have a spectral radius below 1, got 1.5"),
        (np.ones((2, 3)), r"got A of shape \(2, 3\), expected \(2, 2\)"),
    ],
)
def test_an_unstable_network_has_no_stationary_memory(A, message):
    with pytest.raises(ValueError, match=message):
        linear_memory(A, np.ones((2, 1)), np.ones(2), 3)
