import numpy as np
import pytest

from rnnpedagogy.cells import LSTM, Elman
from rnnpedagogy.costs import Cost, CrossEntropy
from rnnpedagogy.tasks import (
    accuracy,
    adding,
    copying,
    sine_generation,
    symbol_classification,
    symbol_splits,
)


def test_the_sines_are_those_of_the_paper():
    task = sine_generation()
    assert task.inputs.shape == task.targets.shape == (400, 100, 1)
    omega = task.inputs[0, :, 0]
    assert omega[[0, -1]].tolist() == [np.pi / 16, np.pi / 8]
    assert np.ptp(np.diff(omega)) < 1e-15
    assert (task.inputs == task.inputs[0]).all()
    # Frequency π/16 has period 32, and y_t = sin(π t/16): closed values at t = 8, 16, 24, 32.
    np.testing.assert_allclose(task.targets[[7, 15, 23, 31], 0, 0], [1, 0, -1, 0], atol=1e-14)
    # y_{t+1} + y_{t-1} = 2 cos(ω) y_t for any sine; t ω ≤ 160 is rounded to 160 eps ≈ 4e-14.
    y = task.targets[..., 0]
    np.testing.assert_allclose(y[2:] + y[:-2], 2 * np.cos(omega) * y[1:-1], atol=2e-13)


def test_frequencies_can_be_drawn():
    first, again = (
        sine_generation(np.random.default_rng(0), sequences=50, length=3) for _ in range(2)
    )
    omega = first.inputs[0, :, 0]
    assert len(np.unique(omega)) == 50
    assert ((omega > np.pi / 16) & (omega < np.pi / 8)).all()
    np.testing.assert_array_equal(omega, again.inputs[0, :, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_task_is_a_cost(dtype):
    cell = LSTM(1, 3)
    task = sine_generation(sequences=4, length=6, dtype=dtype)
    params = cell.init_params(np.random.default_rng(0), output_size=task.output_size, dtype=dtype)
    value = Cost(cell, task.inputs, task.targets, loss=task.loss, at=task.at)(params)
    assert value == task.cost(cell)(params)
    assert value.dtype == dtype
    task = symbol_classification(np.random.default_rng(0), sequences=8, dtype=dtype)
    cell = LSTM(6, 3)
    params = cell.init_params(np.random.default_rng(0), output_size=task.output_size, dtype=dtype)
    readout = {"weight_ho": params["weight_ho"] * 0, "bias_o": params["bias_o"] * 0}
    value = task.cost(cell)(params | readout)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, np.log(4), rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sequences": 0}, "sequences must be a positive integer, got 0"),
        ({"length": -1}, "length must be a positive integer, got -1"),
        ({"dtype": np.int64}, "dtype must be float32 or float64"),
    ],
)
def test_bad_sines_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        sine_generation(**settings)


def decode(task):
    """Symbols of shape (N, B), their places and kinds, read off the one-hot inputs."""
    assert set(np.unique(task.inputs)) == {0, 1}
    assert (task.inputs.sum(axis=-1) == 1).all()
    symbols = task.inputs.argmax(axis=-1)
    relevant = symbols < 2
    places = [np.flatnonzero(column) for column in relevant.T]
    found = [symbols[at, b] for b, at in enumerate(places)]
    return symbols, np.array(places), np.array(found)


def test_the_symbols_are_those_of_the_paper():
    task = symbol_classification(np.random.default_rng(0))
    assert task.inputs.shape == (200, 1000, 6)
    assert task.targets.shape == (200, 1000)
    assert (task.loss, task.at, task.output_size) == ("cross-entropy", "last", 4)
    symbols, places, found = decode(task)
    # 1000 draws from 10 places: all of them occur, the frequency of each is 100 ± 9.5 (one standard
    # deviation), and 20 of them lie within 4.5 deviations but for a chance of 2e-4.
    for window, start in zip(places.T, (9, 39), strict=True):
        values, counts = np.unique(window, return_counts=True)
        assert values.tolist() == list(range(start, start + 10))
        assert np.abs(counts - 100).max() < 4.5 * 9.5
    assert (task.targets == 2 * found[:, 0] + found[:, 1]).all()
    # 198,000 distractors of 4 kinds: 49,500 ± 193 of each.
    counts = np.bincount(symbols.ravel())[2:]
    assert np.abs(counts - 49_500).max() < 4.5 * 193


@pytest.mark.parametrize("sequences", [1000, 999, 7])
@pytest.mark.parametrize("windows", [[(3, 5)], [(0, 1), (4, 9), (9, 12)]])
def test_classes_are_numbers_with_the_symbols_for_digits(windows, sequences):
    task = symbol_classification(
        np.random.default_rng(1), sequences=sequences, windows=windows, length=15
    )
    _, places, found = decode(task)
    assert task.output_size == 2 ** len(windows)
    powers = 2 ** np.arange(len(windows))[::-1]
    assert (task.targets[-1] == found @ powers).all()
    assert (task.targets == task.targets[0]).all()
    for window, (start, stop) in zip(places.T, windows, strict=True):
        assert ((window >= start) & (window < stop)).all()
    counts = np.bincount(task.targets[-1], minlength=task.output_size)
    assert np.ptp(counts) <= 1


def test_the_accuracy_counts_right_answers_at_the_last_step():
    cell = Elman(6, 6, activation="identity")
    params = {  # the state, and with it every output, is the last input
        "weight_ih": np.eye(6),
        "weight_hh": np.zeros((6, 6)),
        "bias": np.zeros(6),
        "weight_ho": np.eye(6)[:4],
        "bias_o": np.zeros(4),
    }
    tasks = [
        symbol_classification(
            np.random.default_rng(seed), sequences=30, length=6, windows=[(0, 2), (2, 4)]
        )
        for seed in range(2)
    ]
    # The last step holds a distractor, 2 to 5, of which the readout knows 2 and 3; else it says 0.
    last = [task.inputs[-1].argmax(axis=-1) for task in tasks]
    right = [np.where(x < 4, x, 0) == task.targets[-1] for x, task in zip(last, tasks, strict=True)]
    assert 0 < right[0].sum() < 30
    assert accuracy(cell, params, tasks[0]) == np.mean(right[0])
    assert accuracy(cell, params, *tasks) == pytest.approx(np.mean(right), rel=1e-15)


def test_copying_shows_ten_symbols_and_asks_for_them_after_the_delay():
    task = copying(np.random.default_rng(0), sequences=7, delay=5, dtype=np.float32)
    shown = task.inputs.argmax(axis=-1)
    assert task.inputs.shape == (25, 7, 10)
    assert task.inputs.dtype == np.float32
    np.testing.assert_array_equal(task.inputs.sum(axis=-1), 1)
    assert shown[:10].max() < 8
    np.testing.assert_array_equal(shown[10:14], 8)  # T − 1 blanks
    np.testing.assert_array_equal(shown[14], 9)  # the signal: answers begin with the next step
    np.testing.assert_array_equal(shown[15:], 8)
    np.testing.assert_array_equal(task.targets[:15], 8)
    np.testing.assert_array_equal(task.targets[15:], shown[:10])
    assert task.output_size == 9
    np.testing.assert_array_equal(
        copying(np.random.default_rng(0), sequences=7, delay=1).targets[11:], shown[:10]
    )


@pytest.mark.parametrize("delay", [1, 30, 100])
def test_without_memory_copying_costs_ten_guesses_among_eight(delay):
    """Who knows the place answers blank, with a score so large that nothing is left to lose."""
    task = copying(np.random.default_rng(0), sequences=50, delay=delay)
    answers = np.zeros((delay + 20, 50, 9))
    answers[: delay + 10, :, 8] = 800.0
    answers[delay + 10 :, :, 8] = -800.0
    cost = CrossEntropy().value(answers, task.targets).mean()
    assert cost == pytest.approx(10 * np.log(8) / (delay + 20), rel=1e-12)


def test_adding_asks_for_the_sum_of_two_marked_numbers():
    for length in (2, 7, 40):
        task = adding(np.random.default_rng(0), sequences=500, length=length)
        numbers, marks = np.moveaxis(task.inputs, -1, 0)
        half = length // 2
        np.testing.assert_array_equal(marks[:half].sum(axis=0), 1)
        np.testing.assert_array_equal(marks[half:].sum(axis=0), 1)
        assert (marks.sum(axis=1) > 0).all()  # every place occurs
        np.testing.assert_allclose(task.targets[-1, :, 0], (numbers * marks).sum(axis=0))
        assert task.targets.shape == (length, 500, 1)


def test_the_best_constant_answer_to_adding_is_wrong_by_a_sixth():
    task = adding(np.random.default_rng(0), sequences=20_000, length=10)
    cell = Elman(2, 1)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(1).items()}
    # (s − 1)² has the mean 1/6 and the variance 7/180, s being a sum of two uniform numbers.
    error = 4 * np.sqrt(7 / 180 / 20_000)
    assert task.cost(cell)(params | {"bias_o": np.ones(1)}) == pytest.approx(1 / 6, abs=error)


def test_bad_delays_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="delay must be a positive integer, got 0"):
        copying(rng, delay=0)
    with pytest.raises(ValueError, match="length must be an integer of at least 2, got 1"):
        adding(rng, length=1)


def test_a_task_can_be_made_again():
    first, again, other = (
        symbol_classification(np.random.default_rng(seed), sequences=20) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert (first.inputs != other.inputs).any()


def test_splits_share_no_sequence_and_do_not_depend_on_each_other():
    sizes = (300, 200, 100)
    parts = symbol_splits(np.random.default_rng(0), sequences=sizes, length=60)
    assert [part.inputs.shape[1] for part in parts] == list(sizes)
    sequences = [
        {part.inputs[:, b].tobytes() for b in range(part.inputs.shape[1])} for part in parts
    ]
    assert len(set.union(*sequences)) == sum(sizes)
    longer = symbol_splits(np.random.default_rng(0), sequences=(5, 200, 100), length=60)
    np.testing.assert_array_equal(longer[1].inputs, parts[1].inputs)
    with pytest.raises(
        ValueError, match=r"few enough to keep the parts apart.* occur in more than"
    ):
        symbol_splits(np.random.default_rng(0), sequences=(9, 9), windows=[(0, 1)], length=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sequences": 0}, "sequences must be a positive integer"),
        ({"length": 48}, "length must be an integer of at least 49, got 48"),
        ({"windows": []}, r"windows must be ranges \(start, stop\) in order"),
        ({"windows": [(3, 4, 5)]}, "windows must be ranges"),
        ({"windows": [(3, 3)]}, r"windows must be ranges.*\(3, 3\)"),
        ({"windows": [(9, 19), (15, 20)]}, "windows must be ranges"),
        ({"windows": [(-1, 3)]}, "windows must be an integer of at least 0, got -1"),
    ],
)
def test_bad_symbols_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        symbol_classification(np.random.default_rng(0), **settings)
