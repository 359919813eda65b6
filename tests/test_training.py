import copy
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rnnbook.language import LanguageModel
from rnnbook.language.corpora import corpus_of
from strategies import (
    CELLS,
    assert_equal_to_rounding,
    assert_same_params,
    draw_params,
    every_cell,
    every_dtype,
    together,
)

from rnnpedagogy import __file__ as package
from rnnpedagogy._storage import read_arrays
from rnnpedagogy.cells import LSTM, Elman, flatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.gradients import bptt
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.tasks import adding
from rnnpedagogy.training import (
    Adam,
    ExponentRecorder,
    FreshSequences,
    Mixture,
    OrbitRecorder,
    Sequences,
    SlowAtFirst,
    StepSchedule,
    clip_by_global_norm,
    train,
)

EPS = np.finfo(float).eps


@dataclass
class Found:
    """The least that a gradient must have."""

    value: float
    params: dict
    last_state: object = None


@dataclass
class Parabola:
    """``V(θ) = a θ²/2`` in one entry, as many batches per epoch as asked for."""

    a: float = 1.0
    count: int = 1

    def batches(self, rng):
        yield from range(self.count)

    def gradient(self, params, batch, state, rng):
        x = params["x"]
        return Found(np.sum(self.a * x**2 / 2), {"x": self.a * x})


class Noisy(Parabola):
    """A gradient that is drawn anew at each step, as with dropout."""

    def gradient(self, params, batch, state, rng):
        found = super().gradient(params, batch, state, rng)
        return Found(found.value, {"x": found.params["x"] * rng.integers(2, size=3)})


@dataclass(frozen=True)
class SGD:
    """The least that an optimiser must have: gradient descent, with momentum if wanted."""

    momentum: float = 0.0

    def init(self, theta):
        return {"velocity": np.zeros_like(theta)}

    def update(self, theta, gradient, memory, rate):
        velocity = self.momentum * memory["velocity"] + gradient
        return theta - rate * velocity, {"velocity": velocity}


def point(x=1.0, dtype=np.float64):
    return {"x": np.array([x], dtype)}


def quietly(objective, params, **settings):
    """`train` without a progress bar."""
    settings = {"epochs": 3, "rng": np.random.default_rng(0), "progress": False} | settings
    return train(objective, params, **settings)


def data(cell, *, steps=6, batch=5, outputs=2, seed=0, dtype=np.float64):
    """Inputs, targets and starts of a batch of sequences."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(steps, batch, cell.input_size)).astype(dtype),
        rng.normal(size=(steps, batch, outputs)).astype(dtype),
        rng.normal(size=(batch, cell.state_size)).astype(dtype),
    )


def small_problem(dtype=np.float64):
    cell = LSTM(2, 3)
    inputs, targets, _ = data(cell, dtype=dtype)
    params = draw_params(cell, np.random.default_rng(1), outputs=2, dtype=dtype)
    return Sequences(Cost(cell, inputs, targets), batch_size=2), params


def assert_same_run(one, other):
    """Equal to the last bit, in everything but the time it took."""
    for name in ("params", "best_params", "history"):
        left, right = getattr(one, name), getattr(other, name)
        assert list(left) == list(right)
        for key in left:
            assert left[key].dtype == right[key].dtype
            np.testing.assert_array_equal(left[key], right[key])
    assert one.records.keys() == other.records.keys()
    for key in one.records:
        np.testing.assert_array_equal(one.records[key].epochs, other.records[key].epochs)
        np.testing.assert_array_equal(one.records[key].values, other.records[key].values)
        assert one.records[key].values.dtype == other.records[key].values.dtype
    assert (one.epoch, one.stopped, one.diverged) == (other.epoch, other.stopped, other.diverged)


# -------------------------------------------------------------------------------- optimisers


def steps_of(optimiser, gradients, rate, theta):
    """All points that an optimiser visits under given gradients, or a function that gives them."""
    memory, points = optimiser.init(theta), []
    for gradient in gradients:
        gradient = gradient(theta) if callable(gradient) else gradient
        theta, memory = optimiser.update(theta, gradient, memory, rate)
        points.append(theta)
    return np.array(points)


def test_the_first_step_of_adam_is_the_rate_times_the_sign():
    g, rate, eps = np.array([1e-3, -5.0, 1e4, 0.0]), 0.01, 1e-8
    found = steps_of(Adam(eps=eps), [g], rate, np.zeros(4))[0]
    np.testing.assert_allclose(found, -rate * g / (np.abs(g) + eps), rtol=20 * EPS)
    np.testing.assert_allclose(found, -rate * np.sign(g), rtol=1.1 * eps / 1e-3)


def test_adam_under_a_constant_gradient_goes_at_the_rate():
    g, rate = np.array([2.0, -0.3]), 0.05
    found = steps_of(Adam(eps=0.0), 200 * [g], rate, np.zeros(2))
    expected = -rate * np.arange(1, 201)[:, np.newaxis] * np.sign(g)
    # 1 − β₂^k starts from 0.001, so that one rounding of β₂ becomes 1000 units in the first step.
    np.testing.assert_allclose(found, expected, rtol=4000 * EPS)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)])
def test_adam_is_a_ratio_of_weighted_means(betas):
    gradients = np.random.default_rng(0).normal(size=(15, 4))
    rate, eps = 0.1, 1e-3
    found = steps_of(Adam(betas=betas, eps=eps), gradients, rate, np.zeros(4))
    theta = np.zeros(4)
    for k in range(1, 16):
        # A weighted mean of the gradients so far, with weights β^{k−i} that are made to sum to one.
        mean, square = (
            np.average(gradients[:k] ** power, axis=0, weights=beta ** np.arange(k)[::-1])
            for power, beta in ((1, betas[0]), (2, betas[1]))
        )
        theta = theta - rate * mean / (np.sqrt(square) + eps)
        np.testing.assert_allclose(found[k - 1], theta, rtol=0, atol=4000 * EPS)


@every_dtype
@pytest.mark.parametrize("optimiser", [Adam(), Adam(betas=(0.5, 0.9), eps=0.1)])
def test_optimisers_keep_the_type_and_change_nothing_that_came_in(optimiser, dtype):
    theta, gradient = np.ones((2, 3), dtype), np.full((2, 3), 0.5, dtype)
    memory = optimiser.init(theta)
    for array in (theta, gradient, *memory.values()):
        array.flags.writeable = False
    for _ in range(2):
        theta, memory = optimiser.update(theta, gradient, memory, 0.1)
        assert theta.dtype == dtype
        assert theta.shape == (2, 3)
        assert {array.dtype for name, array in memory.items() if name != "steps"} == {
            np.dtype(dtype)
        }


@pytest.mark.parametrize("optimiser", [SGD(rate) for rate in (0.0, 0.9)] + [Adam()])
def test_optimisers_find_the_bottom_of_a_parabola(optimiser):
    run = quietly(Parabola(), point(), optimiser=optimiser, rate=0.05, epochs=600)
    # SGD: (1 − 0.05)^600 = 4e-14, and √0.9^600 = 2e-14. Adam's last steps have the size of its rate
    # times the ratio of means, which dies out while both decay.
    assert abs(run.params["x"][0]) < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(betas=(0.9, 1.0)), "betas must be below 1, got 1.0"),
        (lambda: Adam(betas=(0.9,)), r"betas must be two numbers, got \(0.9,\)"),
        (lambda: Adam(eps=np.nan), "eps must be a finite number of at least 0, got nan"),
        (lambda: StepSchedule(-1.0, ()), "rate must be a finite number of at least 0, got -1.0"),
        (lambda: StepSchedule(1.0, (0,)), "milestones must be a positive integer, got 0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------------- clipping, schedules


@every_dtype
def test_a_long_gradient_is_shortened_and_a_short_one_left_alone(dtype):
    gradient = np.array([3.0, 0.0, -4.0], dtype)
    clipped, norm = clip_by_global_norm(gradient, 0.25)
    eps = np.finfo(dtype).eps
    assert clipped.dtype == dtype
    np.testing.assert_allclose(norm, 5.0, rtol=4 * eps)
    np.testing.assert_allclose(clipped, np.array([0.15, 0, -0.2]), rtol=8 * eps)
    same, norm = clip_by_global_norm(gradient, 5.5)
    np.testing.assert_array_equal(same, gradient)
    np.testing.assert_allclose(norm, 5.0, rtol=4 * eps)
    zero, norm = clip_by_global_norm(np.zeros(3, dtype), 1.0)
    assert norm == 0
    np.testing.assert_array_equal(zero, 0)


@pytest.mark.parametrize(("dtype", "huge"), [("f4", 1e30), ("f8", 1e300), ("f8", 1e-300)])
def test_entries_whose_squares_are_not_numbers_are_clipped(dtype, huge):
    gradient = huge * np.array([3.0, -4.0], dtype)
    clipped, norm = clip_by_global_norm(gradient, huge)
    np.testing.assert_allclose(norm, 5 * huge, rtol=1e-6)
    np.testing.assert_allclose(clipped, huge * np.array([0.6, -0.8]), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_norm_says_that_a_gradient_is_not_finite(bad):
    assert not np.isfinite(clip_by_global_norm(np.array([1.0, bad]), 1.0)[1])


def test_a_step_schedule_changes_after_its_milestones():
    schedule = StepSchedule(0.8, (2, 3, 5), factor=0.5)
    rates = [schedule([1.0] * finished) for finished in range(7)]
    assert rates == [0.8, 0.8, 0.4, 0.2, 0.2, 0.1, 0.1]
    run = quietly(Parabola(), point(), rate=schedule, epochs=7)
    np.testing.assert_array_equal(run.history["rate"], rates)
    assert StepSchedule(1.0, range(10, 100, 10), factor=0.1)([0.0] * 25) == pytest.approx(0.01)


def test_schedules_watch_the_validation_if_there_is_one():
    seen = []

    def schedule(watched):
        seen.append(list(watched))
        return 0.0

    run = quietly(Parabola(), point(), rate=schedule, validate=lambda params: 7.0)
    assert seen == [[], [7.0], [7.0, 7.0]]
    seen.clear()
    run = quietly(Parabola(), point(), rate=schedule)
    assert seen == [[], [0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(run.history["cost"], 0.5)


# -------------------------------------------------------------------------------- objectives


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9, None])
def test_an_epoch_visits_each_sequence_once(batch_size):
    cell = Elman(2, 3)
    inputs, targets, _ = data(cell)
    objective = Sequences(Cost(cell, inputs, targets), batch_size=batch_size)
    rng = np.random.default_rng(0)
    epochs = [list(objective.batches(rng)) for _ in range(20)]
    orders = {tuple(np.concatenate(batches)) for batches in epochs}
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len(orders) > 10  # of 120: twenty draws hit a fraction 1/6 twice at most
    size = batch_size or 5
    assert all(len(batch) == size for batches in epochs for batch in batches[:-1])
    assert all(len(batches) == -(-5 // size) for batches in epochs)


@every_cell
@pytest.mark.parametrize("at", ["all", "last"])
@pytest.mark.parametrize("own_state", [True, False])
def test_the_gradient_of_all_is_the_mean_of_those_of_batches(kind, at, own_state):
    cell = CELLS[kind](2, 3)
    inputs, targets, state = data(cell)
    state = state if own_state else state[0]
    params = draw_params(cell, np.random.default_rng(1), outputs=2)
    cost = Cost(cell, inputs, targets, state=state, at=at)
    objective, whole = Sequences(cost, batch_size=2), bptt(cost, params)
    rng = np.random.default_rng(0)
    parts = [(b, objective.gradient(params, b, None, rng)) for b in objective.batches(rng)]
    value = sum(len(batch) / 5 * part.value for batch, part in parts)
    mean = {name: sum(len(b) / 5 * part.params[name] for b, part in parts) for name in params}
    assert_equal_to_rounding(value, whole.value)
    assert_same_params(mean, whole.params)


def test_classes_are_cut_into_batches_too():
    cell = Elman(2, 3)
    inputs, _, _ = data(cell)
    classes = np.random.default_rng(0).integers(2, size=(6, 5))
    params = draw_params(cell, np.random.default_rng(1), outputs=2)
    whole = Cost(cell, inputs, classes, loss="cross-entropy")
    objective = Sequences(whole, batch_size=2)
    found = objective.gradient(params, np.array([3, 1]), None, None)
    cost = Cost(cell, inputs[:, [3, 1]], classes[:, [3, 1]], loss="cross-entropy")
    assert_same_params(found.params, bptt(cost, params).params)


def test_the_loop_carries_the_state_through_an_epoch_only():
    given = []

    class Counter(Parabola):
        def gradient(self, params, batch, state, rng):
            given.append(state)
            return Found(0.0, {"x": np.zeros(1)}, last_state=batch)

    quietly(Counter(count=3), point(), epochs=2)
    assert given == [None, 0, 1, None, 0, 1]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"inputs": (6, 2)}, r"got inputs of shape \(6, 2\), expected \(time, batch, 2\)"),
        ({"targets": (6, 1, 2)}, r"got targets of shape \(6, 1, 2\), expected .* \(6, 5\)"),
        ({"targets": (6, 2)}, r"got targets of shape \(6, 2\), expected .* \(6, 5\)"),
        ({"targets": (5, 5, 2)}, r"got targets of shape \(5, 5, 2\), expected \(6"),
        ({"state": (1, 3)}, r"got state of shape \(1, 3\), expected \(3,\) or \(5, 3\)"),
        ({"state": (2, 5, 3)}, r"got state of shape \(2, 5, 3\), expected \(3,\) or \(5, 3\)"),
    ],
)
def test_sequences_that_do_not_fit_are_named(shapes, message):
    shapes = {"inputs": (6, 5, 2), "targets": (6, 5, 2), "state": (3,)} | shapes
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=message):
        Sequences(Cost(Elman(2, 3), **arrays))


def test_batches_of_no_size_are_refused():
    inputs, targets, _ = data(Elman(2, 3))
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        Sequences(Cost(Elman(2, 3), inputs, targets), batch_size=0)


def test_fingerprints_tell_objectives_apart():
    cell = Elman(2, 3)
    inputs, targets, state = data(cell)
    cost = Cost(cell, inputs, targets)
    classes = np.zeros((6, 5), int)
    others = [
        Sequences(cost),
        Sequences(cost, batch_size=2),
        Sequences(Cost(cell, inputs, targets, at="last")),
        Sequences(Cost(cell, inputs, targets, state=state)),
        Sequences(Cost(cell, 2 * inputs, targets)),
        Sequences(Cost(cell, inputs, classes, loss="cross-entropy")),
        Sequences(Cost(Elman(2, 3, activation="relu"), inputs, targets)),
        Mixture([Sequences(cost)]),
        Mixture([Sequences(cost), Sequences(cost, batch_size=2)]),
    ]
    assert len({objective.fingerprint() for objective in others}) == len(others)
    same = Cost(cell, inputs.copy(), targets)
    assert Sequences(same).fingerprint() == others[0].fingerprint()
    assert Mixture([Sequences(same)]).fingerprint() == others[-2].fingerprint()


def test_an_epoch_of_a_mixture_visits_all_batches_of_all_parts():
    cell = Elman(2, 3)
    costs = [Cost(cell, *data(cell, steps=steps, batch=4)[:2]) for steps in (3, 5)]
    params = draw_params(cell, np.random.default_rng(1), outputs=2)
    mixture = Mixture([Sequences(cost, batch_size=2) for cost in costs])
    orders = set()
    rng = np.random.default_rng(0)
    for _ in range(20):
        batches = list(mixture.batches(rng))
        parts = [mixture.objectives.index(objective) for objective, _ in batches]
        orders.add(tuple(parts))
        for number in range(2):
            rows = [b for part, (_, b) in zip(parts, batches, strict=True) if part == number]
            assert sorted(np.concatenate(rows)) == [0, 1, 2, 3]
    assert orders == {  # 20 draws miss one of the six with probability 6 (5/6)^20 = 0.16
        (0, 0, 1, 1),
        (0, 1, 0, 1),
        (0, 1, 1, 0),
        (1, 0, 0, 1),
        (1, 0, 1, 0),
        (1, 1, 0, 0),
    }
    found = mixture.gradient(params, (mixture.objectives[1], np.array([2, 0])), "ignored", None)
    part = mixture.objectives[1].gradient(params, np.array([2, 0]), None, None)
    assert_same_params(found.params, part.params, units=0)


# ---------------------------------------------------------------------------------- the loop


@every_dtype
@pytest.mark.parametrize("clip", [None, 0.25])
def test_training_is_what_the_equations_say(clip, dtype):
    objective, params = small_problem(dtype)
    optimiser = SGD(momentum=0.9)
    run = quietly(objective, params, optimiser=optimiser, rate=0.1, clip=clip, epochs=4)
    # The same, written out name by name.
    rng = np.random.default_rng(0)
    theta = {name: array.copy() for name, array in params.items()}
    velocity = {name: np.zeros_like(array) for name, array in params.items()}
    costs, norms = [], []
    for _ in range(4):
        for batch in objective.batches(rng):
            found = objective.gradient(theta, batch, None, rng)
            norm = np.sqrt(sum(np.sum(g.astype(float) ** 2) for g in found.params.values()))
            factor = 1.0 if clip is None else min(1.0, clip / norm)
            for name in theta:
                velocity[name] = 0.9 * velocity[name] + float(factor) * found.params[name]
                theta[name] = theta[name] - 0.1 * velocity[name]
            costs.append(found.value)
            norms.append(norm)
    # Twelve steps with a rate of 0.1 amplify roundings by less than (1 + 0.1 · 10)^12 only in the
    # worst direction; along the path curvatures are of order one: the usual units.
    assert_same_params(run.params, theta)
    costs, norms = (np.reshape(values, (4, -1)).astype(float) for values in (costs, norms))
    tolerance = 500 * np.finfo(dtype).eps
    np.testing.assert_allclose(run.history["cost"], costs.mean(axis=1), rtol=tolerance)
    np.testing.assert_allclose(run.history["gradient_norm"], norms.mean(axis=1), rtol=tolerance)
    np.testing.assert_allclose(
        run.history["largest_gradient_norm"], norms.max(axis=1), rtol=tolerance
    )
    np.testing.assert_array_equal(run.history["rate"], 0.1)
    assert run.seconds.shape == (4,)
    assert {array.dtype for array in run.params.values()} == {np.dtype(dtype)}


def test_descent_on_a_parabola_in_closed_form():
    run = quietly(
        Parabola(a=2.0, count=3), point(), optimiser=SGD(), rate=0.1, epochs=4, progress=False
    )
    visited = 0.8 ** np.arange(13)
    np.testing.assert_allclose(run.params["x"], visited[-1:], rtol=40 * EPS)
    np.testing.assert_allclose(
        run.history["cost"], (visited[:-1] ** 2).reshape(4, 3).mean(axis=1), rtol=100 * EPS
    )
    assert run.epoch == 4
    assert run.stopped == "all 4 epochs done"
    assert not run.diverged


@pytest.mark.parametrize("optimiser", [SGD(0.9), Adam()])
@pytest.mark.parametrize(
    "settings",
    [
        {"rate": lambda watched: np.float64(0.1)},
        {"clip": np.float64(0.1)},
        {"project": lambda params: {name: a.astype(float) for name, a in params.items()}},
    ],
)
def test_float32_parameters_stay_float32_whatever_the_rest(optimiser, settings):
    cell = LSTM(2, 3)
    inputs, targets, _ = data(cell)  # float64
    params = draw_params(cell, np.random.default_rng(1), outputs=2, dtype=np.float32)
    run = quietly(Sequences(Cost(cell, inputs, targets)), params, optimiser=optimiser, **settings)
    assert {array.dtype for array in run.params.values()} == {np.dtype("f4")}


def test_training_leaves_its_arguments_alone_and_repeats():
    objective, params = small_problem()  # read-only parameters
    before = {name: array.copy() for name, array in params.items()}
    one, other = quietly(objective, params), quietly(objective, params)
    assert_same_run(one, other)
    assert_same_params(params, before, units=0)
    assert not any(np.shares_memory(one.params[name], params[name]) for name in params)


def test_no_epochs_give_the_parameters_back():
    objective, params = small_problem()
    run = quietly(objective, params, epochs=0)
    assert_same_params(run.params, params, units=0)
    assert run.history["cost"].shape == (0,)


def test_the_projection_comes_after_every_update():
    seen = []

    def project(params):
        seen.append(params["x"][0])
        return {"x": np.maximum(params["x"], 0.5)}

    run = quietly(Parabola(), point(), optimiser=SGD(), rate=0.3, project=project, epochs=4)
    assert run.params["x"][0] == 0.5
    # 1 → 0.7 → 0.49, put back to 0.5 → 0.35, put back → 0.35.
    np.testing.assert_allclose(seen, [0.7, 0.49, 0.35, 0.35], rtol=8 * EPS)


def test_training_stops_early_and_remembers_the_best():
    values = iter([5.0, 3.0, 4.0, 2.0, 2.0, 2.5, 3.0, 1.0])
    visited = []

    def validate(params):
        visited.append(params["x"][0])
        return next(values)

    run = quietly(Parabola(), point(), epochs=50, validate=validate, patience=3, rate=0.01)
    assert run.epoch == 7
    assert run.stopped == "no lower validation in 3 epochs, after epoch 7"
    assert not run.diverged
    np.testing.assert_array_equal(run.history["validation"], [5, 3, 4, 2, 2, 2.5, 3])
    assert run.best_params["x"][0] == visited[3]
    assert run.params["x"][0] == visited[6]


def test_it_stops_at_a_target(tmp_path):
    settings = {"objective": Parabola(), "params": point(), "epochs": 50, "rate": 0.05}
    whole = quietly(**settings)
    eighth = whole.history["cost"][7]
    for target, epochs in ((eighth, 8), (np.nextafter(eighth, 0), 9)):
        run = quietly(**settings, target=target)
        assert run.epoch == epochs
        assert run.stopped == f"arrived at {run.history['cost'][-1]:.3g}, after epoch {epochs}"
    watched = iter([5.0, 1.0, 3.0])  # the validation, if there is one
    run = quietly(**settings, validate=lambda params: next(watched), target=1.0)
    assert run.epoch == 2
    path = tmp_path / "run"
    for _ in range(2):  # what has arrived does not go on when it is resumed
        assert quietly(**settings, target=target, checkpoint=path).epoch == 9
    with pytest.raises(ValueError, match="target must be a finite number of at least 0, got -1"):
        quietly(**settings, target=-1)


def test_fresh_sequences_are_drawn_anew_and_their_gradient_is_that_of_their_cost():
    cell = LSTM(2, 3)

    def draw(rng):
        return adding(rng, sequences=4, length=6)

    objective = FreshSequences(cell, draw, steps=3)
    drawn = list(objective.batches(np.random.default_rng(0)))
    assert len(drawn) == 3
    assert (drawn[0].inputs != drawn[1].inputs).any()
    again = draw(np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[0].inputs, again.inputs)
    params = cell.init_params(np.random.default_rng(1), output_size=1)
    found, expected = objective.gradient(params, again, None, None), bptt(again.cost(cell), params)
    assert found.value == expected.value
    run = quietly(objective, params, epochs=2)
    same = quietly(objective, params, epochs=2)
    np.testing.assert_array_equal(flatten(run.params), flatten(same.params))
    assert run.history["cost"].shape == (2,)


def test_the_first_entries_are_slower():
    theta, gradient = np.ones(4), np.array([1.0, -2.0, 3.0, 4.0])
    plain, _ = Adam().update(theta, gradient, Adam().init(theta), 0.1)
    slow = SlowAtFirst(count=2, part=0.25)
    found, _ = slow.update(theta, gradient, slow.init(theta), 0.1)
    np.testing.assert_allclose(found[:2] - 1, 0.25 * (plain[:2] - 1), rtol=1e-14)
    np.testing.assert_array_equal(found[2:], plain[2:])
    none, _ = SlowAtFirst(count=0).update(theta, gradient, slow.init(theta), 0.1)
    np.testing.assert_array_equal(none, plain)
    single = slow.update(
        theta.astype("f4"), gradient.astype("f4"), slow.init(theta.astype("f4")), 0.1
    )
    assert single[0].dtype == np.float32


def test_a_cost_of_other_sequences_can_be_the_validation():
    objective, params = small_problem()
    inputs, targets, _ = data(LSTM(2, 3), seed=5)
    V = Cost(LSTM(2, 3), inputs, targets)
    run = quietly(objective, params, validate=V)
    np.testing.assert_array_equal(run.history["validation"][-1], V(run.params))


def test_without_validation_the_last_parameters_are_the_best():
    run = quietly(Parabola(), point())
    np.testing.assert_array_equal(run.best_params["x"], run.params["x"])
    assert "validation" not in run.history


# ---------------------------------------------------------------- numbers that are not finite


class Trap(Parabola):
    """A parabola whose ``what`` is ``bad`` at the given call of `gradient`, counted from one."""

    def __init__(self, what, call, bad=np.nan):
        super().__init__(count=3)
        self.what, self.call, self.bad, self.visited = what, call, bad, []

    def gradient(self, params, batch, state, rng):
        self.visited.append(params["x"].copy())
        found = super().gradient(params, batch, state, rng)
        if len(self.visited) == self.call:
            if self.what == "cost":
                found.value = self.bad
            else:
                found.params["x"] = np.array([self.bad])
        return found


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["cost", "gradient"])
@pytest.mark.parametrize("clip", [None, 0.25])
def test_a_bad_number_stops_training_at_the_last_good_parameters(what, bad, clip):
    trap = Trap(what, call=8, bad=bad)  # the second batch of the third epoch
    with pytest.warns(RuntimeWarning, match="training stopped: ") as warned:
        run = quietly(trap, point(), epochs=5, clip=clip)
    assert run.diverged
    assert run.epoch == 2
    assert all(len(values) == 2 for values in run.history.values())
    # A norm does not tell the sign of an infinite entry.
    shown = bad if what == "cost" else abs(bad)
    assert run.stopped == f"{what} of batch 2: {shown} in epoch 3"
    assert str(warned[0].message) == f"training stopped: {run.stopped}"
    assert len(trap.visited) == 8  # nothing was run after it
    # Cost and gradient were last found finite at the seventh point.
    np.testing.assert_array_equal(run.params["x"], trap.visited[6])


def test_the_first_number_may_be_bad():
    with pytest.warns(RuntimeWarning, match="cost of batch 1: nan in epoch 1"):
        run = quietly(Trap("cost", call=1), point())
    np.testing.assert_array_equal(run.params["x"], 1.0)
    assert run.epoch == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimiser": SGD(), "rate": 1e308}, "parameters after batch 1: -inf in epoch 1"),
        (
            {"project": lambda params: {"x": params["x"] * np.nan}},
            "projected parameters after batch 1: nan in epoch 1",
        ),
        ({"validate": lambda params: np.nan}, "validation: nan in epoch 1"),
    ],
)
def test_updates_projections_and_validations_are_watched(settings, message):
    with pytest.warns(RuntimeWarning, match=message):
        run = quietly(Parabola(a=10.0), point(), **settings)
    assert run.stopped == message
    np.testing.assert_array_equal(run.params["x"], 1.0)


def test_a_memory_that_overflows_does_not_stall_in_silence():
    # In float32 the square of 1e30 is infinite: Adam would not move any more.
    with pytest.warns(RuntimeWarning, match="square after batch 1: inf in epoch 1"):
        quietly(Parabola(a=1e30), point(0.1, np.float32))


def test_a_network_that_explodes_is_stopped():
    cell = Elman(1, 2, activation="identity")
    inputs, targets, _ = data(cell, steps=50, outputs=1)
    params = draw_params(cell, np.random.default_rng(0), outputs=1)
    objective = Sequences(Cost(cell, inputs, targets))
    settings = {"optimiser": SGD(), "rate": 100.0}
    with pytest.warns(RuntimeWarning, match="training stopped: "):
        run = quietly(objective, params, epochs=100, **settings)
    assert run.diverged
    assert np.isfinite(together(run.params)).all()
    assert np.isfinite(Cost(cell, inputs, targets)(run.params))


# -------------------------------------------------------------------------------- checkpoints


def full_settings(**changes):
    """Settings that use all that a checkpoint has to hold."""
    return {
        "epochs": 9,
        "optimiser": Adam(),
        "rate": lower_after_a_rise,
        "clip": 0.5,
        "validate": validation,
        "record": {"first": first_row, "norm": norm_at_even_epochs},
    } | changes


def lower_after_a_rise(watched):
    return 0.05 * 0.7 ** np.count_nonzero(np.diff(watched) > 0)


def validation(params):
    return float(np.sum(np.abs(params["weight_hh"])))


def first_row(epoch, params):
    return params["weight_hh"][0]


def norm_at_even_epochs(epoch, params):
    return None if epoch % 2 else np.linalg.norm(params["bias"])


class Interrupted(Exception):  # noqa: N818
    """Stands for a kill."""


@every_dtype
@pytest.mark.parametrize("at", [1, 4, 9])
@pytest.mark.parametrize("optimiser", [SGD(), SGD(0.9), Adam()])
def test_a_resumed_run_has_the_same_bits(tmp_path, optimiser, at, dtype):
    objective, params = small_problem(dtype)
    settings = full_settings(optimiser=optimiser)
    rng, resumed_rng = np.random.default_rng(3), np.random.default_rng(3)
    whole = quietly(objective, params, rng=rng, **settings)
    path = tmp_path / "run.npz"
    part = settings | {"epochs": at}
    quietly(objective, params, rng=np.random.default_rng(3), checkpoint=path, **part)
    resumed = quietly(objective, params, rng=resumed_rng, checkpoint=path, **settings)
    assert_same_run(resumed, whole)
    assert rng.bit_generator.state == resumed_rng.bit_generator.state
    again = quietly(objective, params, rng=np.random.default_rng(3), checkpoint=path, **settings)
    assert_same_run(again, whole)


def test_another_seed_and_another_recorder_are_refused(tmp_path):
    objective, params = small_problem()
    path = tmp_path / "run.npz"
    settings = full_settings(epochs=2)
    quietly(objective, params, rng=np.random.default_rng(3), checkpoint=path, **settings)
    with pytest.raises(ValueError, match=r"belongs to a run with rng = PCG64 .*, got PCG64 "):
        quietly(objective, params, rng=np.random.default_rng(4), checkpoint=path, **settings)
    settings["record"] = settings["record"] | {"first": norm_at_even_epochs}
    with pytest.raises(ValueError, match=r"record = .*first_row.*, got .*norm_at_even_epochs"):
        quietly(objective, params, rng=np.random.default_rng(3), checkpoint=path, **settings)


def recorded_as(*values):
    """A recorder that returns one value after another."""
    return lambda epoch, params: values[min(epoch, len(values) - 1)]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"one": recorded_as({"a": 1.0})}, "recorder 'one' must return an array of numbers, got {"),
        ({"one": recorded_as([[1.0], [1.0, 2.0]])}, "recorder 'one' returns must be an array, got"),
        ({"one": 3}, "record must have texts as names, of functions, got {'one': 3}"),
        ({"one": recorded_as(["a"])}, "recorder 'one' must return an array of numbers"),
        ({"one": recorded_as(1.0, [1.0])}, r"recorder 'one' must return arrays of one shape, got"),
        ({1: recorded_as(1.0)}, "record must have texts as names, of functions, got {1: "),
    ],
)
def test_what_cannot_be_stored_is_found_at_once(record, message):
    objective, params = small_problem()
    with pytest.raises((TypeError, ValueError), match=message):
        quietly(objective, params, epochs=1, record=record)


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf, "fast"])
def test_a_schedule_has_to_give_a_rate(rate):
    objective, params = small_problem()
    with pytest.raises(ValueError, match="rate must be a finite number of at least 0, got"):
        quietly(objective, params, rate=lambda watched: rate)


@pytest.mark.parametrize("found", [None, "low", [1.0], 1j])
def test_a_validation_has_to_give_a_number(found):
    objective, params = small_problem()
    with pytest.raises(TypeError, match="validate must return a number, got"):
        quietly(objective, params, validate=lambda params: found)


@pytest.mark.parametrize("drawn", [None, 3, Cost(Elman(2, 3), np.ones((3, 2)), np.ones((3, 1)))])
def test_fresh_sequences_have_to_be_a_task(drawn):
    _, params = small_problem()
    with pytest.raises(TypeError, match=r"draw\(rng\) must be a Task, got"):
        quietly(FreshSequences(LSTM(2, 3), lambda rng: drawn), params)


def test_a_checkpoint_of_other_fresh_sequences_is_refused(tmp_path):
    def draw(length):  # functions of one name
        return lambda rng: adding(rng, sequences=3, length=length)

    cell = Elman(2, 3)
    params = draw_params(cell, np.random.default_rng(1), outputs=1)
    settings = {"params": params, "checkpoint": tmp_path / "run.npz"}
    whole = quietly(FreshSequences(cell, draw(5)), **settings)
    assert_same_run(quietly(FreshSequences(cell, draw(5)), **settings), whole)
    for other in (
        FreshSequences(cell, draw(6)),
        FreshSequences(cell, draw(5), steps=3),
        FreshSequences(Elman(2, 3, activation="relu"), draw(5)),
    ):
        with pytest.raises(ValueError, match="belongs to a run with objective = FreshSequences 10"):
            quietly(other, **settings)


def test_a_projection_has_to_return_parameters():
    objective, params = small_problem()
    with pytest.raises(TypeError, match="projected parameters must be a dictionary of arrays"):
        quietly(objective, params, project=lambda params: None)


def test_a_second_run_on_a_checkpoint_is_refused(tmp_path):
    objective, params = small_problem()
    path = tmp_path / "run.npz"

    def start_another(epoch, params):
        with pytest.raises(RuntimeError, match=r"run.npz is in use by another run"):
            quietly(objective, params, checkpoint=path)

    quietly(objective, params, checkpoint=path, record={"other": start_another})
    assert path.exists()


@pytest.mark.parametrize("change", ["values", "missing", "type"])
def test_an_edited_checkpoint_is_refused(tmp_path, change):
    objective, params = small_problem()
    path = tmp_path / "run.npz"
    quietly(objective, params, checkpoint=path)
    with np.load(path) as found:
        arrays = dict(found)
    if change == "missing":
        del arrays["history/cost"]
    else:
        arrays["theta"] = arrays["theta"].astype("f4") if change == "type" else arrays["theta"] + 1
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="the checksum does not agree"):
        quietly(objective, params, checkpoint=path)


@pytest.mark.parametrize(
    "kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64]
)
def test_randomness_inside_a_gradient_is_resumed(tmp_path, kind):
    params = {"x": np.ones(3)}
    whole = quietly(Noisy(count=4), params, rng=np.random.Generator(kind(1)), epochs=6)
    path = tmp_path / "run.npz"
    for epochs in (2, 5, 6):
        rng = np.random.Generator(kind(1))
        part = quietly(Noisy(count=4), params, rng=rng, epochs=epochs, checkpoint=path)
    assert_same_run(part, whole)


def test_a_language_model_is_resumed(tmp_path):
    words = ["a", "b", "c", "a", "a", "b", "<eos>", "c", "b", "a", "<eos>"]
    corpus = corpus_of(dict.fromkeys(("train", "valid", "test"), words), vocabulary=None)
    model = LanguageModel(LSTM(2, 3), corpus, batch_size=2, length=2, dropout=0.5)
    params = model.init_params(np.random.default_rng(1))
    whole = quietly(model, params, epochs=4)
    path = tmp_path / "run.npz"
    quietly(model, params, epochs=2, checkpoint=path)
    assert_same_run(quietly(model, params, epochs=4, checkpoint=path), whole)


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("call", [1, 2, 13, 20])
def test_a_run_killed_in_the_middle_of_an_epoch_is_resumed(tmp_path, monkeypatch, every, call):
    objective, params = small_problem()
    whole = quietly(objective, params, **full_settings())
    path, calls, gradient = tmp_path / "run.npz", [], objective.gradient

    def killed(*args):
        calls.append(1)
        if len(calls) == call:
            raise Interrupted
        return gradient(*args)

    monkeypatch.setattr(objective, "gradient", killed)
    with pytest.raises(Interrupted):
        quietly(objective, params, checkpoint=path, checkpoint_every=every, **full_settings())
    monkeypatch.undo()
    finished = (call - 1) // 3
    assert path.exists() == (finished >= every)
    resumed = quietly(objective, params, checkpoint=path, checkpoint_every=every, **full_settings())
    assert_same_run(resumed, whole)


@pytest.mark.parametrize("where", ["savez", "replace"])
def test_a_run_killed_while_it_writes_leaves_the_last_checkpoint(tmp_path, monkeypatch, where):
    objective, params = small_problem()
    whole = quietly(objective, params, **full_settings())
    path = tmp_path / "run.npz"
    quietly(objective, params, checkpoint=path, **full_settings(epochs=3))
    before = path.read_bytes()

    def killed(file, *args, **arrays):
        if where == "savez":
            file.write(b"half a file")
        raise Interrupted

    monkeypatch.setattr(*{"savez": (np, "savez"), "replace": (os, "replace")}[where], killed)
    with pytest.raises(Interrupted):
        quietly(objective, params, checkpoint=path, **full_settings())
    monkeypatch.undo()
    assert path.read_bytes() == before
    resumed = quietly(objective, params, checkpoint=path, **full_settings())
    assert_same_run(resumed, whole)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.npz", "run.npz.lock"]


def nap(epoch, params):
    time.sleep(0.02)


CHILD = """
import sys
import test_training as t

objective, params = t.small_problem()
settings = t.full_settings(epochs=120)
settings["record"] = settings["record"] | {"nap": t.nap}
t.quietly(objective, params, checkpoint=sys.argv[1], **settings)
"""


def test_a_run_killed_at_any_moment_is_resumed(tmp_path):
    path = tmp_path / "run.npz"
    folders = [str(Path(file).resolve().parents[k]) for k, file in ((0, __file__), (1, package))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    delays = np.random.default_rng().uniform(0, 0.1, size=3)  # new ones each time
    for delay in delays:
        before = path.stat().st_mtime_ns if path.exists() else 0
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], env=environment)
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert child.poll() is None
            time.sleep(0.001)
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    objective, params = small_problem()
    settings = full_settings(epochs=120)
    settings["record"] = settings["record"] | {"nap": nap}
    resumed = quietly(objective, params, checkpoint=path, **settings)
    assert_same_run(resumed, quietly(objective, params, **settings))


TWO = """
import os, random, signal, sys, time, traceback
import test_training as t

path, refused = sys.argv[1:]
objective, params = t.small_problem()

def keep_trying():
    while True:
        try:
            t.quietly(objective, params, checkpoint=path, **t.full_settings(epochs=10**6))
        except RuntimeError as error:
            assert f"{path} is in use by another run" in str(error)
            with open(refused, "a") as file:
                file.write(".")
            time.sleep(0.002)

def begin():
    child = os.fork()
    if not child:
        try:
            keep_trying()
        finally:  # of itself it does not end
            traceback.print_exc()
            os._exit(1)
    return child

running = [begin(), begin()]
for _ in range(50):
    time.sleep(random.uniform(0, 0.2))
    killed = running.pop(random.randrange(2))
    os.kill(killed, signal.SIGKILL)
    assert os.waitpid(killed, 0)[1] == signal.SIGKILL
    running.append(begin())
for last in running:
    os.kill(last, signal.SIGKILL)
    assert os.waitpid(last, 0)[1] == signal.SIGKILL
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_runs_on_one_file_killed_at_fifty_moments_are_one_run(tmp_path):
    path, refused = tmp_path / "run.npz", tmp_path / "refused"
    folders = [str(Path(file).resolve().parents[k]) for k, file in ((0, __file__), (1, package))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    subprocess.run([sys.executable, "-c", TWO, path, refused], env=environment, check=True)
    assert refused.stat().st_size > 10  # how often one has met the other
    epochs = len(read_arrays(path)["history/cost"])
    assert epochs > 5
    objective, params = small_problem()
    settings = full_settings(epochs=epochs + 3)
    resumed = quietly(objective, params, checkpoint=path, **settings)
    assert_same_run(resumed, quietly(objective, params, **settings))
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["refused", "run.npz", "run.npz.lock"]


@pytest.mark.parametrize("every", [1, 4, 100])
def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch, every):
    objective, params = small_problem()
    settings = full_settings(checkpoint=tmp_path / "run.npz", checkpoint_every=every)
    whole = quietly(objective, params, **settings)
    monkeypatch.setattr(objective, "gradient", None)
    assert_same_run(quietly(objective, params, **settings), whole)


def test_early_stopping_is_resumed_where_it_happened(tmp_path):
    objective, params = small_problem()
    settings = full_settings(validate=first_falling, patience=2, epochs=50)
    whole = quietly(objective, params, **settings)
    assert whole.epoch < 50
    path = tmp_path / "run.npz"
    for epochs in (1, 2, 50, 50):
        run = quietly(objective, params, checkpoint=path, **settings | {"epochs": epochs})
    assert_same_run(run, whole)


def first_falling(params):
    return abs(float(params["bias_o"][0]) - 0.2)


def test_a_bad_number_is_met_again_after_a_resumption(tmp_path):
    # The first batch of the third epoch is bad: then the last good parameters are those before the
    # last update of the second, which the checkpoint must know.
    path = tmp_path / "run.npz"
    with pytest.warns(RuntimeWarning, match="cost of batch 1: nan in epoch 3"):
        whole = quietly(Trap("cost", call=7), point(), epochs=5)
    quietly(Trap("cost", call=None), point(), epochs=2, checkpoint=path)
    with pytest.warns(RuntimeWarning, match="cost of batch 1: nan in epoch 3"):
        resumed = quietly(Trap("cost", call=1), point(), epochs=5, checkpoint=path)
    assert_same_run(resumed, whole)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"optimiser": SGD()}, "optimiser"),
        ({"rate": 0.1}, "rate"),
        ({"clip": None}, "clip"),
        ({"validate": first_falling}, "validate"),
        ({"project": dict}, "project"),
        ({"patience": 3}, "patience"),
        ({"record": {}}, "record"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, changes, name):
    objective, params = small_problem()
    path = tmp_path / "run.npz"
    quietly(objective, params, checkpoint=path, **full_settings(epochs=1))
    with pytest.raises(ValueError, match=rf"run\.npz belongs to a run with {name} = .*, got "):
        quietly(objective, params, checkpoint=path, **full_settings(**changes))


def test_a_checkpoint_of_other_data_parameters_or_length_is_refused(tmp_path):
    objective, params = small_problem()
    path = tmp_path / "run.npz"
    quietly(objective, params, checkpoint=path, epochs=2)
    inputs, targets, _ = data(LSTM(2, 3), seed=1)
    with pytest.raises(ValueError, match="belongs to a run with objective = "):
        quietly(Sequences(Cost(LSTM(2, 3), inputs, targets)), params, checkpoint=path)
    for other in (
        params | {"bias": params["bias"] + 1},
        {name: array.astype("f4") for name, array in params.items()},
    ):
        with pytest.raises(ValueError, match="belongs to a run with params = "):
            quietly(objective, other, checkpoint=path)
    rng = np.random.Generator(np.random.Philox(0))
    with pytest.raises(ValueError, match=r"belongs to a run with rng = PCG64 .*, got Philox"):
        quietly(objective, params, checkpoint=path, rng=rng)
    with pytest.raises(ValueError, match=r"epochs must be at least 2, as in .*, got 1"):
        quietly(objective, params, checkpoint=path, epochs=1)


@pytest.mark.parametrize("content", ["", "text", "npy", "npz"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "run.npz"
    if content == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif content == "npz":
        np.savez(path, theta=np.zeros(3))
    else:
        path.write_text(content)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint must be a file that train wrote, got .*run"):
        quietly(Parabola(), point(), checkpoint=path)
    assert path.read_bytes() == before


def test_a_folder_that_is_missing_is_found_out_before_the_first_epoch(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkpoint must be in a folder that exists, got"):
        quietly(Parabola(), point(), checkpoint=tmp_path / "none" / "run.npz", record={"no": stop})


def stop(epoch, params):
    raise AssertionError("training has begun")


# --------------------------------------------------------------------------------- recorders


@every_dtype
def test_orbits_of_training_are_orbits_of_the_network(dtype):
    cell = LSTM(1, 3)
    rng = np.random.default_rng(0)
    params = draw_params(cell, rng, outputs=2, dtype=dtype)
    inputs, starts = rng.normal(size=(3, 1)), rng.normal(scale=10, size=(4, cell.state_size))
    recorder = OrbitRecorder(cell, inputs, starts, steps=5, transient=7)
    found = recorder(0, params | {"embedding": np.zeros((2, 2))})
    assert found.shape == (5, 3, 4, 2)
    assert found.dtype == dtype
    for k in range(3):
        for s in range(4):
            constant = np.tile(inputs[k].astype(dtype), (12, 1))
            states = rollout(cell, params, starts[s].astype(dtype), constant)
            assert_equal_to_rounding(found[:, k, s], outputs(cell, params, states)[7:])


def test_what_is_kept_of_orbits_can_be_chosen():
    cell = LSTM(1, 3)
    params = draw_params(cell, np.random.default_rng(0))  # no readout is needed
    recorder = OrbitRecorder(
        cell,
        lambda params: params["weight_ih"][:2],  # inputs that depend on the parameters
        np.ones((4, 6)),
        steps=5,
        transient=0,
        observe=lambda cell, params, states: cell.hidden(states).mean(axis=-1, keepdims=True),
    )
    found = recorder(0, params)
    assert found.shape == (5, 2, 4, 1)
    constant = np.tile(params["weight_ih"][1], (5, 1))
    states = rollout(cell, params, np.ones(6), constant)
    assert_equal_to_rounding(found[:, 1, 2, 0], states[:, :3].mean(axis=-1))


def test_an_orbit_that_is_lost_is_not_a_number_and_training_goes_on():
    cell = Elman(1, 2, activation="identity")
    params = draw_params(cell, np.random.default_rng(0), outputs=1)
    params |= {"weight_hh": np.diag([1e30, 0.5])}
    settings = {"steps": 4, "transient": 20}
    starts = np.array([[0.0, 1.0], [1.0, 1.0]])
    silent = params | {"weight_ih": np.zeros((2, 1)), "bias": np.zeros(2)}
    found = OrbitRecorder(cell, np.ones((1, 1)), starts, **settings)(0, silent)
    assert np.isfinite(found[:, 0, 0]).all()
    assert np.isnan(found[:, 0, 1]).all()
    exponents = ExponentRecorder(cell, np.ones((1, 1)), starts, **settings)(0, silent)
    assert np.isnan(exponents).all()


def test_recorders_are_called_at_the_chosen_epochs():
    cell = LSTM(2, 3)
    objective, params = small_problem()
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(2, 6))
    orbits = OrbitRecorder(cell, np.zeros((1, 2)), starts, steps=3, transient=4)
    some = OrbitRecorder(
        cell, np.zeros((1, 2)), starts, steps=3, transient=4, epochs=range(0, 9, 2)
    )
    never = lambda epoch, params: None  # noqa: E731
    run = quietly(objective, params, epochs=5, record={"all": orbits, "some": some, "never": never})
    np.testing.assert_array_equal(run.records["all"].epochs, range(6))
    np.testing.assert_array_equal(run.records["some"].epochs, [0, 2, 4])
    assert run.records["all"].values.shape == (6, 3, 1, 2, 2)
    np.testing.assert_array_equal(run.records["some"].values, run.records["all"].values[[0, 2, 4]])
    np.testing.assert_array_equal(run.records["all"].values[0], orbits(0, params))
    np.testing.assert_array_equal(run.records["all"].values[5], orbits(5, run.params))
    assert run.records["never"].epochs.shape == (0,)


def test_exponents_of_a_linear_network_are_those_of_its_matrix():
    cell = Elman(0, 2, activation="identity")
    W = np.array([[0.5, 3.0], [0.0, 0.25]])
    params = {"weight_ih": np.zeros((2, 0)), "weight_hh": W, "bias": np.zeros(2)}
    recorder = ExponentRecorder(cell, np.zeros((1, 0)), np.ones((3, 2)), steps=40, transient=60)
    found = recorder(0, params)
    assert found.shape == (1, 3, 2)
    # After 60 steps the frame is along the first eigenvector up to (¼ / ½)^60 = 1e-18.
    np.testing.assert_allclose(found[..., 0], np.log(0.5), rtol=1e-12)
    np.testing.assert_allclose(found[..., 1], np.log(np.linalg.norm(W, 2)), rtol=1e-12)


def test_exponents_of_training_are_those_of_the_network():
    cell = LSTM(1, 3)
    rng = np.random.default_rng(0)
    params = draw_params(cell, rng, outputs=2)
    inputs, starts = rng.normal(size=(2, 1)), rng.normal(size=(3, 6))
    found = ExponentRecorder(cell, inputs, starts, steps=50, transient=10)(0, params)
    for k in range(2):
        for s in range(3):
            system = CellMap(cell, params, inputs[k])
            spectrum = lyapunov_spectrum(system, starts[s], steps=50, transient=10, exponents=1)
            # The frame starts from another vector: what is left of that after 10 contracting
            # steps, averaged over 50.
            np.testing.assert_allclose(found[k, s, 0], spectrum.exponents[0], atol=0.02)
            _, jacobians = system.linearise(system.run(starts[s], 0, 11)[-1], 11, 61)
            norms = np.linalg.norm(jacobians, 2, axis=(-2, -1))
            # A step contracts: roundings of 60 of them do not add up to more than a few.
            np.testing.assert_allclose(found[k, s, 1], np.log(norms).mean(), atol=100 * EPS)


# ---------------------------------------------------------------------------------- progress


def test_a_bar_shows_progress_if_it_is_wanted(capsys, tmp_path):
    path = tmp_path / "run.npz"
    quietly(Parabola(), point(), epochs=2, progress=True, checkpoint=path)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "cost=0.499" in shown  # ½ (1 − 0.001)² in the second epoch
    quietly(Parabola(), point(), epochs=4, progress=True, checkpoint=path)
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "0/4" not in shown  # a resumed run starts where it stopped
    quietly(Parabola(), point(), epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_training_runs_in_silence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # importing it raises ImportError
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    run = quietly(Parabola(), point(), epochs=2, progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.undo()
    assert_same_run(run, quietly(Parabola(), point(), epochs=2))


def test_importing_the_module_does_not_import_the_bar():
    code = "import sys, rnnpedagogy.training; assert 'tqdm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be an integer of at least 0, got -1"),
        ({"rng": 3}, TypeError, r"rng must be a numpy\.random\.Generator, got 3"),
        ({"rate": -1.0}, ValueError, "rate must be a finite number of at least 0, got -1.0"),
        ({"clip": -1.0}, ValueError, "clip must be a finite number above 0, got -1.0"),
        ({"patience": 0}, ValueError, "patience must be a positive integer, got 0"),
        ({"patience": 2}, ValueError, "patience needs validate, got patience=2 without it"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be a positive integer, got 0"),
        ({"params": np.zeros(3)}, TypeError, "params must be a dictionary of arrays, got array"),
        ({"record": len}, TypeError, "record must be a dictionary of recorders, got <built-in"),
        ({"params": {}}, TypeError, "params must be a dictionary of arrays, got {}"),
        ({"params": {"x": np.ones(1, int)}}, TypeError, r"params\['x'\] must hold real floats"),
        ({"params": {"x": np.array([np.nan])}}, ValueError, r"params\['x'\] must be finite"),
        (
            {"params": {"x": np.ones(1), "y": np.ones(1, "f4")}},
            TypeError,
            "params must all have one type, got float32 and float64",
        ),
        ({"objective": Parabola(count=0)}, ValueError, "at least one batch, got none"),
        (
            {"project": lambda params: {"x": np.zeros(2)}},
            ValueError,
            r"got projected parameters of shapes {'x': \(2,\)}, expected {'x': \(1,\)}",
        ),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    settings = {"objective": Parabola(), "params": point()} | changes
    with pytest.raises(error, match=message):
        quietly(**settings)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Found(np.zeros(2), {"x": np.zeros(1)}), r"cost must be one number, got shape \(2,\)"),
        (Found(0.0, {"y": np.zeros(1)}), r"got a gradient of shapes {'y': \(1,\)}, expected {'x'"),
        (Found(0.0, {"x": np.zeros((1, 1))}), r"got a gradient of shapes {'x': \(1, 1\)}"),
    ],
)
def test_an_objective_that_returns_something_else_is_told_so(found, message):
    objective = copy.copy(Parabola())
    objective.gradient = lambda *args: found
    with pytest.raises(ValueError, match=message):
        quietly(objective, point())
