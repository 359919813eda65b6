import numpy as np
import pytest
from maps import cat, chaotic_lstm, driven_network, henon, linear, logistic
from strategies import draw_params, every_cell, every_dtype

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap, Map, lyapunov_spectrum
from rnnpedagogy.jacobians import state_jacobians

EPS = np.finfo(float).eps


# --------------------------------------------------------- closed forms and published values


def test_the_exponents_of_a_linear_map_are_the_logarithms_of_its_eigenvalues():
    basis = np.random.default_rng(0).normal(size=(3, 3))
    A = basis @ np.diag([0.9, -0.5, 0.2]) @ np.linalg.inv(basis)
    found = lyapunov_spectrum(linear(A), np.ones(3), steps=100, transient=100)
    # The frame turns into its limit like (0.5/0.9)^t = 10^{-25} during the transient. What is left
    # is rounding of matrices that are not normal: a few units times the condition of the basis.
    atol = 10 * EPS * np.linalg.cond(basis) / 0.2
    np.testing.assert_allclose(found.exponents, np.log([0.9, 0.5, 0.2]), atol=atol)
    assert (found.exponents < 0).all()
    assert found.kaplan_yorke_dimension == 0
    assert (found.standard_error < atol).all()


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_a_rotation_grows_with_its_gain_in_all_directions(gain):
    A = gain * np.array([[0.6, -0.8], [0.8, 0.6]])
    found = lyapunov_spectrum(linear(A), np.zeros(2), steps=100)
    np.testing.assert_allclose(found.exponents, np.log([gain, gain]), atol=10 * EPS)


def test_the_cat_map_has_exact_exponents():
    # The Jacobian [[2, 1], [1, 1]] is constant and symmetric: eigenvalues (3 ± √5)/2. In 50 steps
    # the frame turns into its limit like 0.38^{100}.
    found = lyapunov_spectrum(Map(cat), np.array([0.1, 0.2]), steps=200, transient=50)
    largest = np.log((3 + np.sqrt(5)) / 2)
    np.testing.assert_allclose(found.exponents, [largest, -largest], rtol=100 * EPS)


def test_the_henon_map_has_its_published_exponents():
    # a = 1.4, b = 0.3: 0.4192 and −1.6232 (J. C. Sprott, Chaos and Time-Series Analysis, 2003), the
    # sum is log 0.3 at every step; dimension 1.258.
    starts = np.random.default_rng(0).uniform(-0.1, 0.1, size=(200, 2))
    found = lyapunov_spectrum(Map(henon), starts, steps=2000, transient=100)
    mean = found.exponents.mean(axis=0)
    error = found.exponents.std(axis=0, ddof=1) / np.sqrt(len(starts))
    assert error[0] < 1e-3
    np.testing.assert_allclose(mean, [0.41922, -1.62319], rtol=0, atol=4 * error[0])
    np.testing.assert_allclose(found.exponents.sum(axis=1), np.log(0.3), rtol=1e-13)
    # D = 1 + λ_1/|λ_2|, whose derivative in λ_1 is below 1.
    dimension = found.kaplan_yorke_dimension.mean()
    np.testing.assert_allclose(dimension, 1.258, rtol=0, atol=4 * error[0] + 0.0005)
    # The block means know how far a single start is from the truth: a scatter of about one.
    score = (found.exponents[:, 0] - 0.41922) / found.standard_error[:, 0]
    assert 0.5 < np.sqrt(np.mean(score**2)) < 2


def test_the_logistic_map_has_the_exponent_log_2():
    # |F'(x)| = 2 √(x'(1 − x')) / √(x (1 − x)): the sum telescopes, but for the ends.
    T, start = 5000, np.array([0.3])
    found = lyapunov_spectrum(Map(logistic), start, steps=T)
    ends = 0.5 * np.log(found.state * (1 - found.state) / (start * (1 - start)))
    # Of T points one comes as near as 1/T² to an end, where 1 − x loses a factor T² of its digits.
    np.testing.assert_allclose(found.exponents, np.log(2) + ends / T, rtol=0, atol=T * EPS)
    assert found.kaplan_yorke_dimension != found.kaplan_yorke_dimension  # never negative: unknown


def test_the_published_chaotic_lstm_is_chaotic():
    found = lyapunov_spectrum(chaotic_lstm(1.0), np.full(4, 0.5), steps=5000, transient=500)
    assert found.exponents[0] > 5 * found.standard_error[0]
    assert 1 < found.kaplan_yorke_dimension < 2


def test_the_kaplan_yorke_dimension_by_hand():
    def of(*exponents):
        return lyapunov_spectrum(
            linear(np.diag(np.exp(exponents))), np.zeros(len(exponents)), steps=100, transient=200
        ).kaplan_yorke_dimension

    np.testing.assert_allclose(of(0.5, -2.0), 1.25, rtol=1e-12)
    np.testing.assert_allclose(of(1.0, -0.25, -3.0), 2.25, rtol=1e-12)
    assert of(-0.5, -1.0) == 0
    assert np.isnan(of(1.0, 0.5))


def test_a_map_that_forgets_at_once_has_exponents_of_minus_infinity():
    found = lyapunov_spectrum(linear(np.zeros((2, 2))), np.ones(2), steps=10)
    np.testing.assert_array_equal(found.exponents, -np.inf)
    assert found.kaplan_yorke_dimension == 0


# -------------------------------------------------------------------------------- properties


def test_exponents_do_not_depend_on_coordinates():
    system, start = driven_network()
    T = np.random.default_rng(1).normal(size=(3, 3))
    inverse = np.linalg.inv(T)

    class InOtherCoordinates:
        def linearise(self, state, start, stop):
            states, jacobians = system.linearise(state @ inverse.T, start, stop)
            return states @ T.T, T @ jacobians @ inverse

    settings = {"steps": 2000, "transient": 100}
    here = lyapunov_spectrum(system, start, **settings)
    there = lyapunov_spectrum(InOtherCoordinates(), T @ start, **settings)
    # A k-dimensional volume changes by at most cond(T)^k, once over the whole orbit, and so does
    # λ_1 + … + λ_k by k log cond(T)/steps; λ_k is the difference of two such sums.
    atol = 6 * np.log(np.linalg.cond(T)) / 2000
    np.testing.assert_allclose(there.exponents, here.exponents, rtol=0, atol=atol)
    assert atol < 0.1 * np.ptp(here.exponents)


@every_cell
def test_the_sum_of_all_exponents_is_the_mean_logarithm_of_the_determinant(kind):
    system, start = driven_network(kind)
    if kind == "relu":  # keep all units active, where there is a determinant
        system.params["bias"] = np.full(3, 10.0)
    found = lyapunov_spectrum(system, start, steps=200, transient=50)
    states, jacobians = state_jacobians(system.cell, system.params, start, system.inputs[:250])
    np.testing.assert_allclose(found.state, states[-1], atol=100 * EPS)  # inputs in order
    expected = np.linalg.slogdet(jacobians[50:])[1].mean()
    # Each factorisation is a few roundings times the condition of one Jacobian.
    atol = 100 * EPS * np.linalg.cond(jacobians).max()
    np.testing.assert_allclose(found.exponents.sum(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "settings", [{"interval": 2}, {"interval": 3}, {"blocks": 1}, {"blocks": 4}]
)
def test_the_result_does_not_depend_on_how_the_orbit_is_cut(settings):
    system, start = driven_network()
    whole = lyapunov_spectrum(system, start, steps=210, transient=10)
    cut = lyapunov_spectrum(system, start, steps=210, transient=10, **settings)
    # The product of all triangles is the same. A factorisation errs by a few roundings times the
    # condition of what it factorises: of up to three Jacobians in a row.
    _, jacobians = state_jacobians(system.cell, system.params, start, system.inputs[:220])
    atol = 10 * EPS * np.linalg.cond(jacobians).max() ** 3
    assert atol < 1e-6
    np.testing.assert_allclose(cut.exponents, whole.exponents, rtol=0, atol=atol)
    np.testing.assert_array_equal(cut.state, whole.state)
    assert cut.block_means.shape == (settings.get("blocks", 10), 3)


@pytest.mark.parametrize("seed", range(5))
def test_block_means_are_sorted_as_their_mean(seed):
    # In four steps the frame has no time to find the order by itself.
    rng = np.random.default_rng(seed)
    growing = linear(np.diag([0.5, 1.0, 2.0]))
    found = lyapunov_spectrum(growing, np.zeros(3), steps=4, blocks=2, rng=rng)
    assert (np.diff(found.exponents) <= 0).all()
    np.testing.assert_allclose(found.block_means.mean(axis=0), found.exponents, atol=10 * EPS)


def test_the_standard_error_of_two_blocks_is_half_their_difference():
    found = lyapunov_spectrum(Map(logistic), np.array([0.3]), steps=100, blocks=2)
    expected = np.abs(np.diff(found.block_means, axis=0)[0]) / 2
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-12)


def test_fewer_exponents_are_the_first_of_all():
    system, start = driven_network()
    everything = lyapunov_spectrum(system, start, steps=500, transient=500)
    first = lyapunov_spectrum(system, start, steps=500, transient=500, exponents=2)
    # Another first frame, forgotten during the transient like e^{−500 (λ_i − λ_{i+1})}.
    assert np.exp(500 * np.diff(everything.exponents)).max() < 1e-12
    np.testing.assert_allclose(first.exponents, everything.exponents[:2], rtol=1e-10)
    assert first.block_means.shape == (10, 2)


def test_a_batch_of_starts_equals_a_loop():
    system, _ = driven_network("GRU")
    starts = np.random.default_rng(1).normal(size=(2, 2, 3))
    settings = {"steps": 500, "transient": 1000}
    batch = lyapunov_spectrum(system, starts, **settings)
    # The first frames differ, which the transient forgets like e^{−1000 (λ_i − λ_{i+1})}.
    assert np.exp(1000 * np.diff(batch.exponents)).max() < 1e-12
    assert batch.standard_error.shape == batch.exponents.shape == (2, 2, 3)
    assert batch.kaplan_yorke_dimension.shape == (2, 2)
    for index in np.ndindex(2, 2):
        single = lyapunov_spectrum(system, starts[index], **settings)
        np.testing.assert_allclose(batch.exponents[index], single.exponents, rtol=1e-10)
        np.testing.assert_allclose(batch.state[index], single.state, rtol=1e-12)


def test_a_batch_of_parameter_sets_equals_a_loop():
    rng = np.random.default_rng(0)
    cell = Elman(0, 2)
    params = draw_params(cell, rng, leads=(3,))
    batch = lyapunov_spectrum(CellMap(cell, params), np.ones((3, 2)), steps=100, transient=50)
    for k in range(3):
        one = CellMap(cell, {name: array[k] for name, array in params.items()})
        single = lyapunov_spectrum(one, np.ones(2), steps=100, transient=50)
        # First frames differ; the sum of all exponents does not depend on them.
        np.testing.assert_allclose(
            batch.exponents[k].sum(), single.exponents.sum(), rtol=1e-10, atol=1e-12
        )


@every_cell
def test_a_cell_is_a_map(kind):
    # Reverse mode through the readable step, against the cell's own Jacobians.
    system, start = driven_network(kind)
    u = system.inputs[0]
    readable = Map(lambda x: system.cell.step(system.params, x, u))
    constant = CellMap(system.cell, system.params, u)
    here = readable.linearise(start, 0, 20)
    there = constant.linearise(start, 0, 20)
    for actual, expected in zip(there, here, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)  # entries of at most one


def test_a_given_jacobian_is_used():
    def jacobian(x):
        rows = [[-2.8 * x[..., 0], np.ones_like(x[..., 0])], [np.full(x.shape[:-1], 0.3)] * 2]
        rows[1][1] = np.zeros(x.shape[:-1])
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    start = np.full((4, 2), 0.1)
    by_hand = lyapunov_spectrum(Map(henon, jacobian), start, steps=50)
    automatic = lyapunov_spectrum(Map(henon), start, steps=50)
    np.testing.assert_allclose(by_hand.exponents, automatic.exponents, rtol=1e-13)


def test_the_same_generator_gives_the_same_numbers():
    def run(rng):
        return lyapunov_spectrum(Map(henon), np.zeros(2), steps=50, rng=rng).exponents

    np.testing.assert_array_equal(run(None), run(None))
    np.testing.assert_array_equal(run(np.random.default_rng(3)), run(np.random.default_rng(3)))
    assert (run(np.random.default_rng(3)) != run(None)).any()


@every_dtype
def test_the_state_keeps_its_type_and_a_single_block_has_no_error(dtype):
    cell = Elman(0, 2)
    params = draw_params(cell, np.random.default_rng(0), dtype=dtype)
    found = lyapunov_spectrum(
        CellMap(cell, params, np.zeros(0, dtype)),
        np.ones(2, dtype),
        steps=40,
        transient=5,
        interval=2,
    )
    assert found.state.dtype == dtype
    assert np.isnan(
        lyapunov_spectrum(CellMap(cell, params), np.ones(2), steps=4, blocks=1).standard_error
    ).all()


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"steps": 20.0}, "steps must be a positive integer, got 20.0"),
        ({"transient": -1}, "transient must be an integer of at least 0, got -1"),
        ({"interval": 0}, "interval must be a positive integer, got 0"),
        ({"blocks": False}, "blocks must be a positive integer, got False"),
        ({"exponents": 0}, "exponents must be a positive integer, got 0"),
        ({"exponents": 1.0}, "exponents must be a positive integer, got 1.0"),
        ({"exponents": 3}, "exponents must be at most 2, the size of the state, got 3"),
        ({"interval": 3}, "steps must be at least blocks · interval = 30, got 20"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(Map(henon), np.zeros(2), **({"steps": 20} | settings))


@pytest.mark.parametrize(
    ("inputs", "state", "error", "message"),
    [
        (np.zeros(2), np.zeros(2), ValueError, r"got state of shape \(2,\), expected \(…, 3\)"),
        (np.zeros(2), np.zeros(3, int), TypeError, "state must hold real floats.*int64"),
        (np.zeros(2), np.full(3, np.nan), ValueError, "state must be finite, got nan"),
        (np.zeros(3), np.zeros(3), ValueError, r"got inputs of shape \(3,\), expected \(…, 2\)"),
        (3.0, np.zeros(3), ValueError, r"got inputs of shape \(\), expected \(…, 2\)"),
        (np.zeros(2, int), np.zeros(3), TypeError, "inputs must hold real floats.*int64"),
        (np.zeros((19, 2)), np.zeros(3), ValueError, "inputs must cover 20 steps, got 19"),
        (
            np.zeros((20, 4, 2)),
            np.zeros(3),
            ValueError,
            r"got state of shape \(3,\), expected \(4, 3\): one start for each orbit",
        ),
    ],
)
def test_bad_data_are_named(inputs, state, error, message):
    cell = Elman(2, 3)
    params = draw_params(cell, np.random.default_rng(0))
    with pytest.raises(error, match=message):
        lyapunov_spectrum(CellMap(cell, params, inputs), state, steps=20)


def test_an_orbit_that_leaves_the_finite_numbers_is_reported():
    with pytest.raises(ValueError, match="the orbit left the finite numbers between steps"):
        lyapunov_spectrum(Map(lambda x: x * x), np.array([3.0]), steps=20)


def test_an_interval_over_which_the_frame_overflows_is_reported():
    with pytest.raises(ValueError, match="interval must be smaller than 400"):
        lyapunov_spectrum(linear([[10.0]]), np.zeros(1), steps=400, interval=400, blocks=1)
