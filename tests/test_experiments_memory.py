"""The experiment of page 14: what it measures, and that it belongs to what is stored elsewhere."""

import numpy as np
import pytest
from rnnbook.experiments import EXPERIMENTS, load, memory, store

SMALL = memory.RANDOM | {"hidden": 4, "gains": [0.5, 2.0], "lags": 20, "lengths": [5, 10]}


@pytest.mark.parametrize("kind", memory.CELLS)
def test_each_gain_is_measured(kind):
    found = memory.analyse(SMALL | {"network": kind, "seed": 0}, {})
    assert {name: array.shape for name, array in found.items()} == {
        "memory": (2, 1, 3),
        "hidden": (2, 1),
        "exponent": (2, 1),
        "curvature": (2, 1, 2),
    }
    assert all(np.isfinite(array).all() for array in found.values())
    assert (np.diff(found["exponent"][:, 0]) > 0).all()
    bound = 4 if kind != "LSTM" else 8  # entries of the state; sampling adds a little
    assert (found["memory"] < bound + 0.3).all()
    if kind != "LSTM":
        np.testing.assert_allclose(found["hidden"], found["memory"][..., 1])


def test_orthogonal_networks_are_orthogonal():
    config = SMALL | {"network": "orthogonal", "seed": 1}
    for gain, (_, draw, (params,)) in zip(config["gains"], memory._random(config), strict=True):
        W = params["weight_hh"] / gain
        np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-12)
        assert draw(np.random.default_rng(0), (5, 3)).shape == (5, 3, 1)


def test_trained_networks_are_those_that_are_stored():
    for result in load("memory"):
        if "source" in result.config:
            assert result.record["data"] == memory.train(result.config)[0]["data"], result.task


@pytest.mark.parametrize("task", ["sine-oRNN", "symbols-LSTM-60", "words-sLSTM"])
def test_a_trained_network_is_driven_by_white_inputs_with_the_law_of_its_task(task):
    config = EXPERIMENTS["memory"].tasks[task]
    (cell, draw, (start, end)), *others = memory._trained(config)
    assert len(others) == 4
    u = draw(np.random.default_rng(0), (2000, 2))
    assert u.shape == (2000, 2, cell.input_size)
    centred = u - u.mean(axis=(0, 1))
    assert abs((centred[1:] * centred[:-1]).sum() / (centred**2).sum()) < 0.06
    name, of = config["source"]
    stored = store.read(EXPERIMENTS[name], f"{of}-0", store.FOLDER)
    for name in cell.param_shapes():
        np.testing.assert_array_equal(end[name], stored[f"params/{name}"])
        assert start[name].shape == end[name].shape
