"""Parameters to and from the layout of PyTorch's recurrent layers, as plain arrays."""

import numpy as np

from rnnpedagogy._validation import real_array, takes
from rnnpedagogy.cells import GRU, LSTM, Elman, Stack
from rnnpedagogy.costs import READOUT

WEIGHTS, BIASES = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")


@takes
def from_torch(cell, state_dict):
    """The parameters of a PyTorch network, for a cell of the same kind and size.

    PyTorch keeps two bias vectors whose sum is all that matters, but for the GRU, where the part of
    ``bias_hh`` that belongs to ``n`` is multiplied with the reset gate: it becomes ``bias_n``. A
    layer without biases gets zeros. A readout, if there is one, is expected as ``weight_ho`` and
    ``bias_o``.

    Parameters
    ----------
    cell : Cell
        `Elman`, `LSTM`, `GRU`, or a `Stack` of them for a network of several layers.
    state_dict : mapping of str to array
        ``weight_ih_l0``, ``weight_hh_l0`` and, both or neither, ``bias_ih_l0`` and ``bias_hh_l0``,
        and so on for each layer: anything that ``numpy.asarray`` takes.

    Returns
    -------
    dict of numpy.ndarray

    Raises
    ------
    ValueError, TypeError
        If a key is missing or unknown (another number of layers, two directions, projections), or
        a shape does not fit.
    """
    layers = _layers(cell)
    arrays = {name: np.asarray(value) for name, value in state_dict.items()}
    known = [f"{name}_l{k}" for k in range(len(layers)) for name in WEIGHTS + BIASES]
    if unknown := sorted(arrays.keys() - {*known, *READOUT}):
        raise ValueError(
            f"state_dict must hold the layers of {cell!r} in one direction, {', '.join(known)}, "
            f"got also {unknown}"
        )
    found = [_from_layer(layer, arrays, k) for k, layer in enumerate(layers)]
    params = cell.by_name(found) if isinstance(cell, Stack) else found[0]
    params |= {name: arrays[name] for name in READOUT if name in arrays}
    params, lead = cell.check_params(params)
    if lead:
        raise ValueError(f"from_torch takes one network, got leading axes of shape {lead}")
    return {name: array.copy() for name, array in params.items()}


@takes
def to_torch(cell, params):
    """The inverse of `from_torch`: all biases go into ``bias_ih_l…``, but ``bias_n`` of a GRU.

    Merging two biases cannot be undone, so the round trip preserves the function, not the numbers.

    Parameters
    ----------
    cell : Cell
        `Elman`, `LSTM`, `GRU`, or a `Stack` of them.
    params : dict of array
        Parameters without leading axes.

    Returns
    -------
    dict of numpy.ndarray
        ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, and so on for each
        layer; a readout keeps its names.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnpedagogy.cells import LSTM, Stack
    >>> from rnnpedagogy.interchange import from_torch, to_torch
    >>> cell = Stack(LSTM(2, 3), LSTM(3, 3))
    >>> params = cell.init_params(np.random.default_rng(0))
    >>> theirs = to_torch(cell, params)
    >>> sorted(theirs)[:2], theirs["weight_ih_l1"].shape
    (['bias_hh_l0', 'bias_hh_l1'], (12, 3))
    >>> ours = from_torch(cell, theirs)
    >>> all(np.array_equal(ours[name], params[name]) for name in params)
    True
    """
    layers = _layers(cell)
    params, lead = cell.check_params(params)
    if lead:
        raise ValueError(f"to_torch takes one parameter set, got leading axes of shape {lead}")
    converted = {}
    for k, own in enumerate(cell.by_layer(params) if isinstance(cell, Stack) else [params]):
        bias_hh = np.zeros_like(own["bias"])
        if "bias_n" in own:
            bias_hh[2 * layers[k].hidden_size :] = own["bias_n"]
        converted |= {f"{name}_l{k}": own[name] for name in WEIGHTS}
        converted |= {f"bias_ih_l{k}": own["bias"], f"bias_hh_l{k}": bias_hh}
    converted |= {name: params[name] for name in READOUT if name in params}
    return {name: array.copy() for name, array in converted.items()}


def _layers(cell):
    layers = cell.cells if isinstance(cell, Stack) else (cell,)
    if any(type(layer) not in (Elman, LSTM, GRU) for layer in layers):
        raise TypeError(f"cell must be an Elman, LSTM or GRU, or a Stack of them, got {cell!r}")
    return layers


def _from_layer(cell, arrays, k):
    """The parameters of one layer under the names of its cell."""
    weight_ih, weight_hh, bias_ih, bias_hh = (f"{name}_l{k}" for name in WEIGHTS + BIASES)
    if missing := [name for name in (weight_ih, weight_hh) if name not in arrays]:
        raise ValueError(f"state_dict must hold {weight_ih}, {weight_hh}: {missing} missing")
    if (bias_ih in arrays) != (bias_hh in arrays):
        raise ValueError(f"state_dict must hold both of {bias_ih} and {bias_hh} or neither")
    rows = cell.gates * cell.hidden_size
    params = {"weight_ih": real_array(weight_ih, arrays[weight_ih]), "weight_hh": arrays[weight_hh]}
    zeros = np.zeros(rows, params["weight_ih"].dtype)
    first, second = (
        real_array(name, arrays.get(name, zeros), shape=(rows,)) for name in (bias_ih, bias_hh)
    )
    if type(cell) is GRU:
        inside = np.arange(rows) >= 2 * cell.hidden_size
        params["bias_n"] = second[inside]
        second = np.where(inside, 0, second)
    return params | {"bias": first + second}
