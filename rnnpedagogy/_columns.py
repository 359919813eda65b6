"""The inner layout of the fast code: states are the columns of a matrix.

Outside, features are the last axis and everything between time and features broadcasts. Inside,
features come first, so that one step for a whole batch is the textbook's ``W @ x``, and each gate
of a cell is one contiguous block of rows. Two cases share all code:

- one set of parameters: weights are matrices, the batch is flattened, columns have shape
  ``(F, B)``;
- a batch of parameter sets: weights carry the parameters' leading axes *last*, columns have shape
  ``(F, *batch)``, and a product is taken set by set.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """How arrays with leading axes ``lead`` (parameters) and ``batch`` (sequences) are laid out."""

    lead: tuple
    batch: tuple

    @property
    def shared(self):
        """Whether all sequences use one set of parameters."""
        return math.prod(self.lead) == 1

    @property
    def averaged_axes(self):
        """The batch axes that do not tell parameter sets apart: costs are averaged over them."""
        padded = (1,) * (len(self.batch) - len(self.lead)) + self.lead
        return tuple(axis for axis, size in enumerate(padded) if size == 1)

    @property
    def averaged_size(self):
        """How many sequences share one set of parameters."""
        return math.prod(self.batch[axis] for axis in self.averaged_axes)

    def weight(self, array):
        """``(*lead, core axes)`` to ``(core axes, *lead)``, the leading axes padded to the batch's.

        With one parameter set a vector becomes a column, so that it broadcasts over the batch.
        """
        core = array.ndim - len(self.lead)
        if self.shared:
            return array.reshape(array.shape[len(self.lead) :] if core == 2 else (-1, 1))
        array = array.reshape((1,) * (len(self.batch) - len(self.lead)) + array.shape)
        return np.ascontiguousarray(np.moveaxis(array, range(-core, 0), range(core)))

    def columns(self, array, dtype):
        """``(T, …, F)`` to ``(T, F, columns)``, broadcast over the batch."""
        array = align(array, len(self.batch) + 2)
        array = np.broadcast_to(array, (array.shape[0], *self.batch, array.shape[-1]))
        array = np.moveaxis(array, -1, 1)
        if self.shared:
            array = array.reshape(array.shape[0], array.shape[1], math.prod(self.batch))
        return np.ascontiguousarray(array, dtype=dtype)

    def rows(self, columns):
        """``(T, F, columns)`` back to ``(T, *batch, F)``, a view."""
        return np.moveaxis(columns.reshape(*columns.shape[:2], *self.batch), 1, -1)

    def per_parameter_set(self, array, core):
        """Sum ``(core axes, columns)`` over sequences of one parameter set: ``(*lead, core)``."""
        shape = array.shape[:core]
        if self.shared:
            return array.reshape(*shape, -1).sum(axis=-1).reshape(self.lead + shape)
        array = array.sum(axis=tuple(core + axis for axis in self.averaged_axes))
        array = np.moveaxis(array, range(core), range(-core, 0))
        return array.reshape(self.lead + shape)

    def bias_sum(self, columns):
        """``Σ_t columns_t``, summed over sequences that share parameters: ``(*lead, F)``."""
        return self.per_parameter_set(columns.sum(axis=0), 1)

    def outer_sum(self, left, right):
        """``Σ_t left_t right_tᵀ`` of two column sequences, summed over sequences as above."""
        if self.shared:
            product = np.tensordot(left, right, axes=([0, 2], [0, 2]))
            return product.reshape(self.lead + product.shape)
        return self.per_parameter_set(np.einsum("tg...,th...->gh...", left, right), 2)


def align(array, ndim):
    """Insert axes of size one after time until there are ``ndim``, so that batches line up."""
    return np.expand_dims(array, tuple(range(1, 1 + ndim - array.ndim)))


def multiply(weight, columns, out=None):
    """``W x`` for each column: one matrix product, or one for each parameter set."""
    if weight.ndim > 2:
        return np.einsum("gh...,h...->g...", weight, columns, out=out)
    return np.matmul(weight, columns, out=out)


def multiply_all(weight, columns):
    """``W x_t`` for all times at once: `multiply` for columns with a leading time axis."""
    if weight.ndim > 2:
        return np.einsum("gh...,th...->tg...", weight, columns)
    if weight.shape[1] == 1:
        return weight * columns  # the same product; matmul has no fast path for it
    return weight @ columns


def affine_all(weight, bias, columns):
    """``W u_t + b`` for all times at once."""
    if weight.ndim > 2:
        product = multiply_all(weight, columns)
        product += bias
        return product
    # The bias is the weight of one more input, which is always one: a single product.
    return np.concatenate([weight, bias], axis=1) @ with_ones(columns)


def with_ones(columns):
    """``[u_t; 1]``, the columns with a row of ones below."""
    ones = np.ones((len(columns), 1, *columns.shape[2:]), columns.dtype)
    return np.concatenate([columns, ones], axis=1)
