"""The same gradient by other libraries, each written as its users would write it.

Each function takes a cost of this package and its parameters, and returns a function without
arguments that computes value and gradient; `None` where the library is not installed.
"""

import importlib.util

import autograd
import numpy as np

from rnnpedagogy.cells import LSTM


def installed(name):
    return importlib.util.find_spec(name) is not None


def autograd_gradient(cost, params):
    """Reverse mode over the readable steps: the package without its hand-derived adjoint."""
    value_and_grad = autograd.value_and_grad(cost.step_by_step)
    return lambda: value_and_grad(params)


def torch_network(cell, params):
    """`nn.LSTM` or `nn.RNN` and a linear readout with the parameters ``params``."""
    import torch

    torch.set_num_threads(1)
    dtype = torch.from_numpy(params["bias"]).dtype
    kind = torch.nn.LSTM if isinstance(cell, LSTM) else torch.nn.RNN
    network = kind(cell.input_size, cell.hidden_size, dtype=dtype)
    readout = torch.nn.Linear(cell.hidden_size, len(params["bias_o"]), dtype=dtype)
    with torch.no_grad():
        for tensor, name in (
            (network.weight_ih_l0, "weight_ih"),
            (network.weight_hh_l0, "weight_hh"),
            (network.bias_ih_l0, "bias"),
            (readout.weight, "weight_ho"),
            (readout.bias, "bias_o"),
        ):
            tensor.copy_(torch.from_numpy(params[name]))
        network.bias_hh_l0.zero_()
    return network, readout


def torch_gradient(cost, params):
    if not installed("torch"):
        return None
    import torch

    network, readout = torch_network(cost.cell, params)
    inputs, targets = torch.from_numpy(cost.inputs), torch.from_numpy(cost.targets)
    both = torch.nn.ModuleList([network, readout])

    def run():
        both.zero_grad()
        value = torch.nn.functional.mse_loss(readout(network(inputs)[0]), targets)
        value.backward()
        return value.item(), {
            "weight_hh": network.weight_hh_l0.grad.numpy(),
            "weight_ho": readout.weight.grad.numpy(),
        }

    return run


def torch_epoch(cell, params, inputs, targets, *, batch_size, clip, rng):
    """An epoch of Adam with clipped gradients on mini-batches of sequences: the mean cost."""
    if not installed("torch"):
        return None
    import torch

    network, readout = torch_network(cell, params)
    inputs, targets = torch.from_numpy(inputs), torch.from_numpy(targets)

    def costs():
        for batch in torch.from_numpy(rng.permutation(inputs.shape[1])).split(batch_size):
            outputs = readout(network(inputs[:, batch])[0])
            yield torch.nn.functional.mse_loss(outputs, targets[:, batch])

    return torch_descent([network, readout], costs, clip)


def torch_language(model, params, *, clip, rng):
    """An epoch of a `LanguageModel` as torch would train it: the mean cost."""
    if not installed("torch"):
        return None
    import torch

    network, readout = torch_network(model.cell, params)
    embedding = torch.nn.Embedding.from_pretrained(
        torch.from_numpy(params["embedding"].copy()), freeze=False
    )
    dropout = torch.nn.functional.dropout

    def costs():
        state = None
        for before, words in model.batches(rng):
            inputs = dropout(embedding(torch.from_numpy(before)), model.dropout)
            hidden, state = network(inputs, state)
            state = tuple(part.detach() for part in state)
            hidden = hidden * dropout(torch.ones(hidden.shape[-1]), model.dropout)
            scores = readout(hidden).flatten(0, 1)
            yield torch.nn.functional.cross_entropy(scores, torch.from_numpy(words).flatten())

    return torch_descent([embedding, network, readout], costs, clip)


def torch_descent(modules, costs, clip):
    """A step of Adam with a clipped gradient for each cost of an epoch: the mean cost."""
    import torch

    everything = torch.nn.ModuleList(modules)
    optimiser = torch.optim.Adam(everything.parameters(), lr=1e-3)

    def run():
        values = []
        for cost in costs():
            optimiser.zero_grad()
            cost.backward()
            torch.nn.utils.clip_grad_norm_(everything.parameters(), clip)
            optimiser.step()
            values.append(cost.item())
        return np.mean(values)

    return run


def jax_gradient(cost, params):
    if not installed("jax"):
        return None
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp, size = jax.numpy, cost.cell.hidden_size
    inputs, targets = jnp.asarray(cost.inputs), jnp.asarray(cost.targets)
    zero = jnp.zeros((inputs.shape[1], size), inputs.dtype)

    def value(theta):
        drive = inputs @ theta["weight_ih"].T + theta["bias"]

        def lstm_step(state, drive_t):
            h, c = state
            i, f, g, o = jnp.split(drive_t + h @ theta["weight_hh"].T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def tanh_step(h, drive_t):
            h = jnp.tanh(drive_t + h @ theta["weight_hh"].T)
            return h, h

        if isinstance(cost.cell, LSTM):
            _, hidden = jax.lax.scan(lstm_step, (zero, zero), drive)
        else:
            _, hidden = jax.lax.scan(tanh_step, zero, drive)
        outputs = hidden @ theta["weight_ho"].T + theta["bias_o"]
        return jnp.mean((outputs - targets) ** 2)

    compiled = jax.jit(jax.value_and_grad(value))
    theta = {name: jnp.asarray(array) for name, array in params.items()}

    def run():
        result = jax.block_until_ready(compiled(theta))
        return float(result[0]), {name: np.asarray(array) for name, array in result[1].items()}

    return run


def torch_orthogonal(size, kind):
    """An orthogonal matrix by PyTorch's own parametrisation, and a derivative pulled back."""
    if not installed("torch"):
        return None
    import torch

    torch.set_num_threads(1)
    layer = torch.nn.Linear(size, size, bias=False, dtype=torch.float64)
    maps = {"exp": "matrix_exp"}
    layer = torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=maps.get(kind, kind))
    derivative = torch.ones(size, size, dtype=torch.float64)

    def run():
        layer.zero_grad()
        (layer.weight * derivative).sum().backward()
        return layer.weight.detach().numpy()

    return run
