"""Objectives: what `train` minimises, one batch at a time."""

from rnnpedagogy._storage import digest
from rnnpedagogy._validation import positive_integer, real_array
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt


class Sequences:
    """Mini-batches of whole sequences, in a new random order in each epoch.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    inputs : array, shape (N, B, m)
        ``B`` sequences.
    targets : array
        Shape ``(N, B, p)`` for the squared error, integers of shape ``(N, B)`` for the
        cross-entropy.
    batch_size : int, optional
        Sequences per batch, of which the last of an epoch may have fewer; all if not given.
    state : array, shape (n,) or (B, n), optional
        ``x_0``; zero if not given.
    loss, at : str
        As for `Cost`.

    Raises
    ------
    ValueError, TypeError
        As for `Cost`, or if inputs and targets are not sequences of equal number.
    """

    def __init__(
        self, cell, inputs, targets, *, batch_size=None, state=None, loss="squared error", at="all"
    ):
        self.cost = _cost_of_sequences(cell, inputs, targets, state, loss, at)
        self.loss, self.count = loss, self.cost.inputs.shape[1]
        batch_size = self.count if batch_size is None else batch_size
        self.batch_size = positive_integer("batch_size", batch_size)

    def batches(self, rng):
        """Arrays of indices: a permutation of all sequences, cut into batches."""
        order = rng.permutation(self.count)
        for k in range(0, self.count, self.batch_size):
            yield order[k : k + self.batch_size]

    def gradient(self, params, batch, state, rng):
        """`bptt` of the sequences with the indices ``batch``."""
        whole = self.cost
        start = whole.state[batch] if whole.state.ndim > 1 else whole.state
        inputs, targets = whole.inputs[:, batch], whole.targets[:, batch]
        cost = Cost(whole.cell, inputs, targets, state=start, loss=self.loss, at=whole.at)
        return bptt(cost, params)

    def fingerprint(self):
        """A text that tells one objective from another."""
        return f"Sequences {self.batch_size} {_fingerprint(self.cost, self.loss)}"


class Stream:
    """Truncated backpropagation through time along sequences that are too long for the whole.

    The sequences are cut into segments, which are visited in order. Each starts from the state at
    which the one before ended, taken as a constant: no derivative reaches further back than the
    segment.

    Parameters
    ----------
    cell, inputs, targets, state, loss
        As for `Sequences`.
    length : int
        Steps per segment, of which the last may have fewer.

    Raises
    ------
    ValueError, TypeError
        As for `Sequences`.

    References
    ----------
    R. J. Williams, J. Peng, An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories, Neural Computation 2 (1990).
    """

    def __init__(self, cell, inputs, targets, *, length, state=None, loss="squared error"):
        self.cost = _cost_of_sequences(cell, inputs, targets, state, loss, "all")
        self.loss, self.length = loss, positive_integer("length", length)

    def batches(self, rng):
        """Slices of the time axis, in order."""
        for k in range(0, self.cost.steps, self.length):
            yield slice(k, min(k + self.length, self.cost.steps))

    def gradient(self, params, batch, state, rng):
        """`bptt` of the segment ``batch``, which starts from ``state``."""
        whole = self.cost
        start = whole.state if state is None else state
        inputs, targets = whole.inputs[batch], whole.targets[batch]
        return bptt(Cost(whole.cell, inputs, targets, state=start, loss=self.loss), params)

    def fingerprint(self):
        """A text that tells one objective from another."""
        return f"Stream {self.length} {_fingerprint(self.cost, self.loss)}"


def _cost_of_sequences(cell, inputs, targets, state, loss, at):
    """The cost of all sequences, which checks that they fit each other."""
    inputs = real_array("inputs", inputs, shape=("time", "batch", cell.input_size))
    cost = Cost(cell, inputs, targets, state=state, loss=loss, at=at)
    batch = inputs.shape[1:2]
    if cost.loss.batch_shape(cost.targets) != batch:
        raise ValueError(
            f"got targets of shape {cost.targets.shape}, expected the time and batch axes "
            f"{inputs.shape[:2]} of the inputs"
        )
    if cost.state.shape[:-1] not in ((), batch):
        raise ValueError(
            f"got state of shape {cost.state.shape}, expected ({cost.state.shape[-1]},) or "
            f"{(*batch, cost.state.shape[-1])}"
        )
    return cost


def _fingerprint(cost, loss):
    return f"{cost.cell!r} {loss} {cost.at} {digest(cost.inputs, cost.targets, cost.state)}"
