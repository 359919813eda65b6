"""Parameters to and from the layout of PyTorch's recurrent layers, as plain arrays."""

import numpy as np

from rnnpedagogy._validation import real_array
from rnnpedagogy.cells import GRU

LAYERS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def from_torch(cell, state_dict):
    """The parameters of a one-layer PyTorch network, for a cell of the same kind and size.

    PyTorch keeps two bias vectors whose sum is all that matters, but for the GRU, where the part of
    ``bias_hh`` that belongs to ``n`` is multiplied with the reset gate: it becomes ``bias_n``. A
    layer without biases gets zeros. A readout, if there is one, is expected as ``weight_ho`` and
    ``bias_o``.

    Parameters
    ----------
    cell : Cell
        `Elman`, `LSTM` or `GRU`.
    state_dict : mapping of str to array
        ``weight_ih_l0``, ``weight_hh_l0`` and, both or neither, ``bias_ih_l0`` and ``bias_hh_l0``:
        anything that
        ``numpy.asarray`` takes.

    Returns
    -------
    dict of numpy.ndarray

    Raises
    ------
    ValueError, TypeError
        If a key is missing or unknown (several layers, two directions, projections), or a shape
        does not fit.
    """
    arrays = {name: np.asarray(value) for name, value in state_dict.items()}
    unknown = sorted(arrays.keys() - {*LAYERS, "weight_ho", "bias_o"})
    if unknown:
        raise ValueError(f"state_dict must hold one layer, {', '.join(LAYERS)}, got also {unknown}")
    if missing := sorted({*LAYERS[:2]} - arrays.keys()):
        raise ValueError(f"state_dict must hold {', '.join(LAYERS[:2])}: {missing} missing")
    if ("bias_ih_l0" in arrays) != ("bias_hh_l0" in arrays):
        raise ValueError("state_dict must hold both of bias_ih_l0 and bias_hh_l0 or neither")
    rows = cell.gates * cell.hidden_size
    weight_ih = real_array("weight_ih_l0", arrays.pop("weight_ih_l0"))
    zeros = np.zeros(rows, weight_ih.dtype)
    bias_ih = real_array("bias_ih_l0", arrays.pop("bias_ih_l0", zeros), shape=(rows,))
    bias_hh = real_array("bias_hh_l0", arrays.pop("bias_hh_l0", zeros), shape=(rows,)).copy()
    params = {"weight_ih": weight_ih, "weight_hh": arrays.pop("weight_hh_l0")}
    if isinstance(cell, GRU):
        params["bias_n"] = bias_hh[2 * cell.hidden_size :].copy()
        bias_hh[2 * cell.hidden_size :] = 0
    params["bias"] = bias_ih + bias_hh
    params, lead = cell.check_params(params | arrays)
    if lead:
        raise ValueError(f"from_torch takes one network, got leading axes of shape {lead}")
    return {name: array.copy() for name, array in params.items()}


def to_torch(cell, params):
    """The inverse of `from_torch`: all biases go into ``bias_ih_l0``, but ``bias_n`` of a GRU.

    Merging two biases cannot be undone, so the round trip preserves the function, not the numbers.

    Parameters
    ----------
    cell : Cell
        `Elman`, `LSTM` or `GRU`.
    params : dict of array
        Parameters without leading axes.

    Returns
    -------
    dict of numpy.ndarray
        ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``; a readout keeps its
        names.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cell, or have leading axes.
    """
    params, lead = cell.check_params(params)
    if lead:
        raise ValueError(f"to_torch takes one parameter set, got leading axes of shape {lead}")
    bias_hh = np.zeros_like(params["bias"])
    if isinstance(cell, GRU):
        bias_hh[2 * cell.hidden_size :] = params["bias_n"]
    converted = dict(
        zip(
            LAYERS,
            (params["weight_ih"], params["weight_hh"], params["bias"], bias_hh),
            strict=True,
        )
    )
    converted |= {name: params[name] for name in ("weight_ho", "bias_o") if name in params}
    return {name: array.copy() for name, array in converted.items()}
