"""Linear units: the scan against closed forms and a loop, its adjoint, what starts are drawn from.

That values, gradients and Hessian products equal those of the step is tested with all other cells.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_equal_to_rounding, every_dtype, some_examples

from rnnpedagogy.cells import Stack
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradient_check import check_gradient
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.linear_units import LinearRecurrentUnit, Rectifier, scan
from rnnpedagogy.rollout import rollout


def pairs(z):
    """Complex numbers of shape (…, n, columns) as pairs of reals."""
    return np.concatenate([z.real, z.imag], axis=-2)


def draw(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9, 10, 50])
def test_a_constant_drive_gives_a_geometric_series(steps):
    eigenvalue = np.array([[0.9 * np.exp(0.4j)], [0.5 + 0j]])
    found = scan(pairs(eigenvalue), pairs(np.ones((steps, 2, 1)) + 0j), np.zeros((4, 1)))
    t = np.arange(1, steps + 1)[:, np.newaxis, np.newaxis]
    assert_equal_to_rounding(found, pairs((1 - eigenvalue**t) / (1 - eigenvalue)))


@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**32))
@some_examples
def test_a_scan_is_the_loop(steps, columns, seed):
    rng = np.random.default_rng(seed)
    size, phase = rng.uniform(0, 1, 3), rng.uniform(-np.pi, np.pi, 3)
    eigenvalue = (size * np.exp(1j * phase))[:, np.newaxis]
    drive, state = draw(rng, steps, 3, columns), draw(rng, 3, columns)
    found = scan(pairs(eigenvalue), pairs(drive), pairs(state))
    loop = []
    for d in drive:
        state = eigenvalue * state + d
        loop.append(state)
    assert_equal_to_rounding(found, pairs(np.array(loop)))


def test_the_adjoint_of_a_scan_is_the_scan_backwards_with_conjugate_eigenvalues():
    rng = np.random.default_rng(0)
    eigenvalue = 0.9 * np.exp(1j * rng.uniform(-3, 3, (4, 1)))
    drive, weights = draw(rng, 30, 4, 2), draw(rng, 30, 4, 2)
    nothing = np.zeros((8, 2))
    forwards = scan(pairs(eigenvalue), pairs(drive), nothing)
    backwards = scan(pairs(eigenvalue.conj()), pairs(weights)[::-1], nothing)[::-1]
    assert np.isclose(np.sum(pairs(weights) * forwards), np.sum(backwards * pairs(drive)))


def test_thousands_of_steps_in_float32_stay_near_those_in_float64():
    rng = np.random.default_rng(0)
    cell = LinearRecurrentUnit(1, 8, horizon=4000)
    params, inputs = cell.init_params(rng), rng.normal(size=(4000, 1))
    double = rollout(cell, params, cell.zero_state(), inputs)
    single = {name: array.astype(np.float32) for name, array in params.items()}
    found = rollout(cell, single, np.zeros(8, np.float32), inputs.astype(np.float32))
    assert found.dtype == np.float32
    # Each step rounds, relative to states of about one; 4,000 of them add up at worst.
    assert np.abs(found - double).max() < 4000 * 2.0**-24 * np.abs(double).max()


@every_dtype
def test_white_noise_gives_states_of_variance_one(dtype):
    cell, rng = LinearRecurrentUnit(1, 200, horizon=20), np.random.default_rng(1)
    params = cell.init_params(rng, dtype=dtype)
    params["weight_ih"] = np.repeat([[1], [0]], 100, axis=0).astype(dtype)  # B = 1
    noise = rng.normal(size=(400, 200, 1)).astype(dtype)  # slowest unit: e^{-2·0.1·400/20} = 2 %
    states = rollout(cell, params, cell.zero_state(dtype=dtype), noise)[-1]
    power = (states[:, :100] ** 2 + states[:, 100:] ** 2).mean(axis=0)
    assert abs(power.mean() - 1) < 0.05
    assert np.abs(power - 1).max() < 6 * np.sqrt(2 / 200)


def test_eigenvalues_start_where_the_horizon_says_and_cannot_leave_the_disc():
    cell = LinearRecurrentUnit(2, 400, horizon=1000)
    params = cell.init_params(np.random.default_rng(2))
    decay, phase = np.exp(params["log_decay"]), np.exp(params["log_phase"])
    assert 0.1e-3 <= decay.min() < 0.2e-3 < 2.9e-3 < decay.max() <= 3e-3
    assert 0 < phase.min() < 0.1e-3 < 2.9e-3 < phase.max() <= 3e-3
    wild = params | {"log_decay": np.linspace(-20, 3, 200)}
    _, A = state_jacobians(cell, wild, cell.zero_state(), np.zeros((1, 2)))
    sizes = np.linalg.norm(A[0], axis=0)
    assert (sizes > 0).all()
    assert (sizes < 1).all()


def test_jacobians_are_rotations_times_the_modulus():
    cell = LinearRecurrentUnit(1, 2)
    params = cell.init_params(np.random.default_rng(0))
    params |= {"log_decay": np.log([0.25]), "log_phase": np.log([0.5])}
    _, A = state_jacobians(cell, params, cell.zero_state(), np.zeros((1, 1)))
    c, s = np.exp(-0.25) * np.array([np.cos(0.5), np.sin(0.5)])
    assert_equal_to_rounding(A[0], np.array([[c, -s], [s, c]]))


def test_the_gradient_of_a_stack_agrees_with_differences():
    rng = np.random.default_rng(3)
    cell = Stack(Rectifier(2, 5), LinearRecurrentUnit(5, 6, horizon=20), Rectifier(6, 3))
    V = Cost(cell, rng.normal(size=(17, 4, 2)), rng.normal(size=(17, 4, 1)))
    assert check_gradient(V, cell.init_params(rng, output_size=1), rng).passed


def test_a_rectifier_does_not_remember():
    cell = Rectifier(2, 3)
    params = cell.init_params(np.random.default_rng(0))
    inputs = np.random.default_rng(1).normal(size=(6, 2))
    found = rollout(cell, params, np.full(3, 7.0), inputs)
    expected = np.maximum(inputs @ params["weight_ih"].T + params["bias"], 0)
    assert_equal_to_rounding(found, expected)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="hidden_size must be even"):
        LinearRecurrentUnit(1, 3)
    with pytest.raises(ValueError, match="drive must have shape"):
        scan(np.ones(3), np.ones((4, 3)), np.ones(3))
    with pytest.raises(ValueError, match="eigenvalues must broadcast to drive"):
        scan(np.ones(2), np.ones((5, 4)), np.ones(4))
    with pytest.raises(ValueError, match="start and drive must broadcast"):
        scan(np.ones((4, 1)), np.ones((5, 4, 2)), np.ones((4, 3)))
