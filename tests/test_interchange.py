import numpy as np
import pytest
from strategies import CELLS, assert_same_params, draw_params, every_cell, every_dtype, read_only

from rnnpedagogy.cells import GRU, LSTM, Elman, Stack
from rnnpedagogy.interchange import from_torch, to_torch
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.rollout import rollout

LIKE_TORCH = ["tanh", "relu", "LSTM", "GRU"]  # PyTorch has no linear recurrent layer


def sigma(z):
    return 1 / (1 + np.exp(-z))


def published_layer(kind, layer, inputs):
    """The formulas that document torch.nn.RNN, LSTM and GRU, one unit at a time, from zero."""
    W_ih, W_hh = layer["weight_ih_l0"], layer["weight_hh_l0"]
    b_ih, b_hh = layer["bias_ih_l0"], layer["bias_hh_l0"]
    H = W_hh.shape[1]
    h, c, trajectory = np.zeros(H), np.zeros(H), []
    for u in inputs:
        new_h, new_c = np.zeros(H), np.zeros(H)
        for k in range(H):

            def from_input(gate, k=k, u=u):
                return W_ih[gate * H + k] @ u + b_ih[gate * H + k]

            def from_state(gate, k=k, h=h):
                return W_hh[gate * H + k] @ h + b_hh[gate * H + k]

            if kind == "tanh":
                new_h[k] = np.tanh(from_input(0) + from_state(0))
            elif kind == "relu":
                new_h[k] = max(from_input(0) + from_state(0), 0)
            elif kind == "LSTM":  # gates (W_ii|W_if|W_ig|W_io)
                i, f, o = (sigma(from_input(gate) + from_state(gate)) for gate in (0, 1, 3))
                g = np.tanh(from_input(2) + from_state(2))
                new_c[k] = f * c[k] + i * g
                new_h[k] = o * np.tanh(new_c[k])
            else:  # gates (W_ir|W_iz|W_in)
                r, z = (sigma(from_input(gate) + from_state(gate)) for gate in (0, 1))
                n = np.tanh(from_input(2) + r * from_state(2))
                new_h[k] = (1 - z) * n + z * h[k]
        h, c = new_h, new_c
        trajectory.append(np.concatenate([h, c]) if kind == "LSTM" else h)
    return np.array(trajectory)


def draw_layer(cell, rng, *, biases=True, dtype=np.float64):
    rows, m, H = cell.gates * cell.hidden_size, cell.input_size, cell.hidden_size
    shapes = {"weight_ih_l0": (rows, m), "weight_hh_l0": (rows, H)}
    if biases:
        shapes |= {"bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    return {name: read_only(rng.normal(size=s).astype(dtype)) for name, s in shapes.items()}


def run(cell, params, inputs):
    return rollout(cell, params, cell.zero_state(dtype=inputs.dtype), inputs)


@pytest.mark.parametrize("kind", LIKE_TORCH)
def test_a_layer_follows_the_published_formulas(kind):
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, 3)
    layer, inputs = draw_layer(cell, rng), rng.normal(size=(8, 2))
    expected = published_layer(kind, layer, inputs)
    # Eight steps of sums of five terms; the weights of about one may amplify a rounding a little.
    settings = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(run(cell, from_torch(cell, layer), inputs), expected, **settings)
    back = to_torch(cell, from_torch(cell, layer))
    np.testing.assert_allclose(published_layer(kind, back, inputs), expected, **settings)


@pytest.mark.parametrize("kind", LIKE_TORCH)
@every_dtype
def test_a_layer_runs_as_it_does_in_torch(kind, dtype):
    torch = pytest.importorskip("torch")
    names = {"tanh": "RNN", "relu": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
    settings = {"nonlinearity": kind} if names[kind] == "RNN" else {}
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, 3)
    layer = getattr(torch.nn, names[kind])(2, 3, **settings).to(
        getattr(torch, np.dtype(dtype).name)
    )
    inputs = rng.normal(size=(8, 2)).astype(dtype)
    theirs = layer(torch.from_numpy(inputs))[0].detach().numpy()
    ours = cell.hidden(run(cell, from_torch(cell, layer.state_dict()), inputs))
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=100 * np.finfo(dtype).eps)

    params = draw_params(cell, rng, dtype=dtype)
    arrays = {name: torch.from_numpy(array) for name, array in to_torch(cell, params).items()}
    layer.load_state_dict(arrays)
    theirs = layer(torch.from_numpy(inputs))[0].detach().numpy()
    ours = cell.hidden(run(cell, params, inputs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=100 * np.finfo(dtype).eps)


@every_cell
@every_dtype
@pytest.mark.parametrize("outputs", [None, 2])
def test_our_parameters_survive_the_round_trip(kind, dtype, outputs):
    cell = CELLS[kind](2, 3)
    params = draw_params(cell, np.random.default_rng(0), outputs=outputs, dtype=dtype)
    again = from_torch(cell, to_torch(cell, params))
    assert_same_params(again, params, units=0)
    assert not any(np.shares_memory(again[name], params[name]) for name in params)


@every_cell
def test_a_layer_without_biases_gets_zeros(kind):
    cell = CELLS[kind](2, 3)
    layer = draw_layer(cell, np.random.default_rng(0), biases=False)
    params = from_torch(cell, layer)
    assert not params["bias"].any()
    assert not params.get("bias_n", np.zeros(3)).any()
    np.testing.assert_array_equal(params["weight_hh"], layer["weight_hh_l0"])


def test_two_biases_become_one_except_inside_the_reset_product():
    rng = np.random.default_rng(0)
    layer = draw_layer(GRU(2, 3), rng)
    params = from_torch(GRU(2, 3), layer)
    both = layer["bias_ih_l0"] + layer["bias_hh_l0"]
    np.testing.assert_array_equal(params["bias"][:6], both[:6])
    np.testing.assert_array_equal(params["bias"][6:], layer["bias_ih_l0"][6:])
    np.testing.assert_array_equal(params["bias_n"], layer["bias_hh_l0"][6:])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"weight_ih_l1": np.zeros((12, 3))},
            ValueError,
            r"in one direction, .* got also \['weight_ih_l1'",
        ),
        (
            {"weight_ih_l0_reverse": np.zeros((12, 2))},
            ValueError,
            r"in one direction, .* got also \['weight_ih_l0_reverse'",
        ),
        ({"weight_hr_l0": np.zeros((2, 3))}, ValueError, r"got also \['weight_hr_l0'\]"),
        ({"weight_hh_l0": None}, ValueError, r"weight_hh_l0: \['weight_hh_l0'\] missing"),
        ({"bias_hh_l0": None}, ValueError, "both of bias_ih_l0 and bias_hh_l0 or neither"),
        ({"bias_hh_l0": np.zeros(9)}, ValueError, r"got bias_hh_l0 of shape \(9,\), .*\(12,\)"),
        ({"bias_hh_l0": np.zeros(12, int)}, TypeError, "bias_hh_l0 must hold real floats.*int64"),
        ({"weight_ih_l0": np.zeros((12, 2), int)}, TypeError, "weight_ih_l0 must hold real floats"),
        ({"weight_hh_l0": np.zeros((9, 3))}, ValueError, r"got weight_hh.* of shape \(9, 3\)"),
        (
            {"weight_ih_l0": np.full((12, 2), np.nan)},
            ValueError,
            "weight_ih.* must be finite, got na",
        ),
        ({"weight_ho": np.zeros((2, 3))}, ValueError, "params must have the keys"),
    ],
)
def test_what_is_not_one_plain_layer_is_refused(changes, error, message):
    layer = draw_layer(LSTM(2, 3), np.random.default_rng(0)) | changes
    layer = {name: array for name, array in layer.items() if array is not None}
    with pytest.raises(error, match=message):
        from_torch(LSTM(2, 3), layer)


def test_parameters_that_are_not_one_set_are_refused():
    cell, rng = Elman(2, 3), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"to_torch takes one parameter set.* shape \(2,\)"):
        to_torch(cell, draw_params(cell, rng, leads=(2,)))
    with pytest.raises(ValueError, match="params must have the keys"):
        to_torch(cell, draw_params(GRU(2, 3), rng))
    stacked = draw_layer(cell, rng) | {"weight_hh_l0": np.zeros((2, 3, 3))}
    with pytest.raises(
        ValueError, match=r"from_torch takes one network, got leading axes of shape \(2,\)"
    ):
        from_torch(cell, stacked)


@pytest.mark.parametrize(
    "cell",
    [OrthogonalRNN(2, 3), Stack(LSTM(2, 3), OrthogonalRNN(3, 3))],
)
def test_cells_that_torch_does_not_have_are_refused(cell):
    with pytest.raises(TypeError, match="cell must be an Elman, LSTM or GRU, or a Stack of them"):
        to_torch(cell, {})
    with pytest.raises(TypeError, match="cell must be an Elman, LSTM or GRU, or a Stack of them"):
        from_torch(cell, {})
