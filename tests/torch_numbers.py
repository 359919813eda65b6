"""Outputs and gradients of cells and stacks as PyTorch computes them, kept in a file.

``python -m tests.torch_numbers``, where PyTorch is installed, writes the file anew.
"""

from pathlib import Path

import numpy as np
from own_cells import MinimalGatedUnit, PeepholeLSTM, SecondOrderRNN

from rnnpedagogy.cells import GRU, LSTM, Elman, Stack
from rnnpedagogy.interchange import to_torch

FILE = Path(__file__).parent / "data" / "torch_numbers.npz"
STEPS, BATCH, INPUTS, HIDDEN = 9, 4, 2, 5
LAYERS = {"tanh": ("RNN", Elman), "LSTM": ("LSTM", LSTM), "GRU": ("GRU", GRU)}
OWN = {
    "minimal gated unit": MinimalGatedUnit,
    "peepholes": PeepholeLSTM,
    "second order": SecondOrderRNN,
}
CASES = {name: make(INPUTS, HIDDEN) for name, make in OWN.items()} | {
    f"{kind} {layers}": Stack(
        make(INPUTS, HIDDEN), *(make(HIDDEN, HIDDEN) for _ in range(layers - 1))
    )
    for kind, (_, make) in LAYERS.items()
    for layers in (2, 3)
}


def problem(case):
    """Parameters with a readout that is the identity, inputs and targets, the same everywhere."""
    cell, rng = CASES[case], np.random.default_rng(sorted(CASES).index(case))
    params = {name: rng.normal(size=s) / 2 for name, s in cell.param_shapes().items()}
    params |= {"weight_ho": np.eye(HIDDEN), "bias_o": np.zeros(HIDDEN)}
    inputs = rng.normal(size=(STEPS, BATCH, INPUTS))
    return params, inputs, rng.normal(size=(STEPS, BATCH, HIDDEN))


def layout(case, params):
    """Parameters under the names of PyTorch for a stack, under our own otherwise."""
    cell = CASES[case]
    plain = {name: params[name] for name in cell.param_shapes()}
    if not isinstance(cell, Stack):
        return plain
    # Biases of the recurrent product count only where they are multiplied with the reset gate.
    converted = to_torch(cell, plain)
    return {k: v for k, v in converted.items() if "bias_hh" not in k} | {
        f"bias_n_l{k}": own["bias_n"]
        for k, own in enumerate(cell.by_layer(plain))
        if "bias_n" in own
    }


def compute(case):
    """Outputs and gradients by PyTorch's automatic differentiation of the same equations."""
    import torch

    params, inputs, targets = problem(case)
    inputs, targets = torch.from_numpy(inputs), torch.from_numpy(targets)
    cell = CASES[case]
    if isinstance(cell, Stack):
        kind, _ = LAYERS[case.split()[0]]
        network = getattr(torch.nn, kind)(
            INPUTS, HIDDEN, num_layers=len(cell.cells), dtype=torch.float64
        )
        plain = {name: params[name] for name in cell.param_shapes()}
        converted = to_torch(cell, plain)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in converted.items()})
        found = network(inputs)[0]
        theta = dict(network.named_parameters())
    else:
        theta = {k: torch.from_numpy(params[k]).requires_grad_() for k in cell.param_shapes()}
        state = torch.zeros(BATCH, cell.state_size, dtype=torch.float64)
        found = []
        for u in inputs:
            state = TORCH_STEPS[case](torch, theta, state, u)
            found.append(state[:, -HIDDEN:])
        found = torch.stack(found)
    ((found - targets) ** 2).sum(-1).mean().backward()
    numbers = {"outputs": found.detach().numpy()}
    for name, array in theta.items():
        gradient = array.grad.numpy()
        if name.startswith("bias_hh"):
            if "GRU" in case:
                numbers[name.replace("bias_hh", "bias_n")] = gradient[2 * HIDDEN :]
        else:
            numbers[name] = gradient
    return numbers


def minimal_gated_unit(torch, p, h, u):
    W, V, b = p["weight_ih"], p["weight_hh"], p["bias"]
    f = torch.sigmoid(u @ W[:HIDDEN].T + h @ V[:HIDDEN].T + b[:HIDDEN])
    n = torch.tanh(u @ W[HIDDEN:].T + (f * h) @ V[HIDDEN:].T + b[HIDDEN:])
    return h + f * (n - h)


def peepholes(torch, p, state, u):
    c, h = state.chunk(2, dim=-1)
    i, f, g, o = (u @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"]).chunk(4, dim=-1)
    see = p["peephole"]
    c = torch.sigmoid(f + c * see[1]) * c + torch.sigmoid(i + c * see[0]) * torch.tanh(g)
    return torch.cat([c, torch.sigmoid(o + c * see[2]) * torch.tanh(c)], dim=-1)


def second_order(torch, p, h, u):
    matrix = torch.einsum("ijk,bj->bik", p["tensor"], u)
    return torch.tanh((matrix @ h[..., None])[..., 0] + u @ p["weight_ih"].T + p["bias"])


TORCH_STEPS = {
    "minimal gated unit": minimal_gated_unit,
    "peepholes": peepholes,
    "second order": second_order,
}


def stored():
    """The numbers of the file: case → name → array."""
    numbers = {case: {} for case in CASES}
    with np.load(FILE) as file:
        for key in file.files:
            case, name = key.split("/")
            numbers[case][name] = file[key]
    return numbers


if __name__ == "__main__":
    np.savez_compressed(
        FILE, **{f"{case}/{name}": a for case in CASES for name, a in compute(case).items()}
    )
