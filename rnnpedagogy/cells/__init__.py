"""Recurrent cells: one step ``x_t = f(x_{t-1}, u_t; θ)`` of a state-space model.

`Cell` runs any step that is written down; `Elman`, `LSTM` and `GRU` have fast code beside it;
`Stack` puts layers of cells above each other.
"""

from rnnpedagogy.cells.activations import ACTIVATIONS, absolute, sigmoid, tanh
from rnnpedagogy.cells.affine import Elman
from rnnpedagogy.cells.cell import Cell, linear, readout
from rnnpedagogy.cells.gated import GRU, LSTM
from rnnpedagogy.cells.parameters import flatten, unflatten
from rnnpedagogy.cells.stack import Stack
