"""Layers of cells, one above the other, as one cell."""

from itertools import pairwise

import autograd.numpy as anp
import numpy as np

from rnnpedagogy.cells.cell import Cell


class Stack(Cell):
    r"""Layers of cells: each sees as its input the ``h`` of the layer below, at the same time.

    .. math:: x^{(l)}_t = f_l(x^{(l)}_{t-1}, h^{(l-1)}_t), \qquad h^{(0)}_t = u_t

    The state is that of all layers, one after the other, and the readout sees the ``h`` of the last
    one. The parameters of layer ``l`` are called as those of its cell, with ``_l0``, ``_l1``, … at
    the end. It is as fast as its layers are.

    Parameters
    ----------
    *cells : Cell
        From the lowest to the highest; each has as many inputs as the one below has units.

    Examples
    --------
    >>> from rnnpedagogy.cells import GRU, LSTM
    >>> cell = Stack(LSTM(2, 5), GRU(5, 3))
    >>> cell.state_size, sorted(cell.param_shapes())[-2:]
    (13, ['weight_ih_l0', 'weight_ih_l1'])
    """

    def __init__(self, *cells):
        if not cells or not all(isinstance(cell, Cell) for cell in cells):
            raise TypeError(f"cells must be at least one Cell, got {cells!r}")
        for k, (below, above) in enumerate(pairwise(cells)):
            if above.input_size != below.hidden_size:
                raise ValueError(
                    f"cells[{k + 1}] must have input_size {below.hidden_size}, the hidden_size of "
                    f"the layer below, got {above.input_size}"
                )
        super().__init__(cells[0].input_size, cells[-1].hidden_size)
        self.cells = cells
        self.gates = sum(cell.gates for cell in cells)
        ends = [sum(cell.state_size for cell in cells[: k + 1]) for k in range(len(cells))]
        self.parts = [
            slice(end - cell.state_size, end) for cell, end in zip(cells, ends, strict=True)
        ]

    def __repr__(self):
        return f"Stack({', '.join(map(repr, self.cells))})"

    @property
    def state_size(self):
        return self.parts[-1].stop

    def hidden(self, state):
        return self.cells[-1].hidden(state[..., self.parts[-1]])

    def param_shapes(self, output_size=None):
        shapes = self.by_name([cell.param_shapes() for cell in self.cells])
        return shapes | self.readout_shapes(output_size)

    def init_params(self, rng, *, output_size=None, dtype=np.float64):
        """Draw the parameters of each layer as its cell does, from the lowest to the highest."""
        last = len(self.cells) - 1
        drawn = [
            cell.init_params(rng, output_size=output_size if k == last else None, dtype=dtype)
            for k, cell in enumerate(self.cells)
        ]
        readout = {name: drawn[-1].pop(name) for name in self.readout_shapes(output_size)}
        return self.by_name(drawn) | readout

    def step(self, params, state, inputs):
        after = []
        for cell, own, part in zip(self.cells, self.by_layer(params), self.parts, strict=True):
            after.append(cell.step(own, state[..., part], inputs))
            inputs = cell.hidden(after[-1])
        return anp.concatenate(after, axis=-1)

    def by_layer(self, params):
        """The parameters of each layer under the names of its cell."""
        return [
            {name: params[f"{name}_l{k}"] for name in cell.param_shapes()}
            for k, cell in enumerate(self.cells)
        ]

    def by_name(self, by_layer):
        """The inverse of `by_layer`: the parameters of all layers, named by layer."""
        return {f"{name}_l{k}": own[name] for k, own in enumerate(by_layer) for name in own}

    def reparametrise(self, params):
        by_layer = zip(self.cells, self.by_layer(params), strict=True)
        weights, pull_backs = zip(*(cell.reparametrise(own) for cell, own in by_layer), strict=True)

        def pull_back(gradient):
            return self.by_name([back(_layer(gradient, k)) for k, back in enumerate(pull_backs)])

        return {(k, name): own[name] for k, own in enumerate(weights) for name in own}, pull_back

    def lay_out(self, weights, layout):
        return [cell.lay_out(_layer(weights, k), layout) for k, cell in enumerate(self.cells)]

    def forward(self, weights, layout, inputs, states):
        tapes = []
        for cell, own, part in zip(self.cells, weights, self.parts, strict=True):
            tapes.append((inputs, cell.forward(own, layout, inputs, states[:, part])))
            inputs = states[1:, part][:, cell.hidden_part]
        return tapes

    def backward(self, weights, layout, inputs, states, tape, d_hidden, d_state,
                 *, of_weights=True, of_inputs=False):  # fmt: skip
        gradient, adjoints = {}, []
        for k in reversed(range(len(self.cells))):
            part, (inputs, own_tape) = self.parts[k], tape[k]
            own, d_hidden, adjoint = self.cells[k].backward(
                weights[k], layout, inputs, states[:, part], own_tape, d_hidden, d_state[part],
                of_weights=of_weights, of_inputs=of_inputs or k > 0,
            )  # fmt: skip
            gradient |= {(k, name): own[name] for name in own or ()}
            adjoints.insert(0, adjoint)
        return gradient, d_hidden, np.concatenate(adjoints)


def _layer(weights, k):
    """What belongs to one layer, under the names of its cell."""
    return {name: array for (layer, name), array in weights.items() if layer == k}
