"""Objectives: what `train` minimises, one batch at a time."""

import numpy as np

from rnnpedagogy._storage import digest
from rnnpedagogy._validation import all_of, an_instance, an_objective, real_array, takes
from rnnpedagogy.costs import LOSSES, Cost
from rnnpedagogy.gradients import bptt
from rnnpedagogy.tasks import Task


@takes
class Sequences:
    """Mini-batches of the sequences of a cost, in a new random order in each epoch.

    Parameters
    ----------
    cost : Cost
        Of ``B`` sequences: inputs of shape ``(N, B, m)``, targets of shape ``(N, B, p)``, or
        ``(N, B)`` for the cross-entropy, and one initial state, or one for each.
    batch_size : int, optional
        Sequences per batch, of which the last of an epoch may have fewer; all if not given.
    """

    def __init__(self, cost, *, batch_size=None):
        self.cost, self.count = cost, _count_sequences(cost)
        self.batch_size = self.count if batch_size is None else batch_size

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
        loss = _loss_name(whole)
        return bptt(Cost(whole.cell, inputs, targets, state=start, loss=loss, at=whole.at), params)

    def fingerprint(self):
        """A text that tells one objective from another."""
        cost = self.cost
        data = digest(cost.inputs, cost.targets, cost.state)
        return f"Sequences {self.batch_size} {cost.cell!r} {_loss_name(cost)} {cost.at} {data}"


@takes(objectives=all_of(an_objective))
class Mixture:
    """The batches of several objectives in one random order, say of sequences of several lengths.

    Parameters
    ----------
    objectives : sequence of Sequences
        None of them may carry a state from batch to batch.
    """

    def __init__(self, objectives):
        self.objectives = objectives

    def batches(self, rng):
        """Pairs of an objective and a batch of it."""
        found = [(each, batch) for each in self.objectives for batch in each.batches(rng)]
        return (found[k] for k in rng.permutation(len(found)))

    def gradient(self, params, batch, state, rng):
        """That of the objective to which the batch belongs."""
        objective, own_batch = batch
        return objective.gradient(params, own_batch, None, rng)

    def fingerprint(self):
        """A text that tells one objective from another."""
        return f"Mixture {[objective.fingerprint() for objective in self.objectives]}"


@takes
class FreshSequences:
    """New sequences for every batch: the cost is that of sequences that were never seen.

    Parameters
    ----------
    cell : Cell
    draw : callable
        Maps a generator to a `Task`, such as ``lambda rng: copying(rng, sequences=20, delay=50)``.
    steps : int
        Batches, and with them updates, of an epoch.
    """

    def __init__(self, cell, draw, *, steps=10):
        self.cell, self.draw, self.steps = cell, draw, steps

    def batches(self, rng):
        """Tasks, drawn one after the other."""
        return (an_instance(Task)("draw(rng)", self.draw(rng)) for _ in range(self.steps))

    def gradient(self, params, batch, state, rng):
        """`bptt` of the sequences of a task."""
        return bptt(batch.cost(self.cell), params)

    def fingerprint(self):
        """A text that tells one objective from another, by what is drawn first from seed 0."""
        task = next(self.batches(np.random.default_rng(0)))
        data = digest(task.inputs, task.targets)
        return f"FreshSequences {self.steps} {self.cell!r} {task.loss} {task.at} {data}"


def _loss_name(cost):
    return next(name for name, loss in LOSSES.items() if type(cost.loss) is loss)


def _count_sequences(cost):
    """The number ``B`` of sequences, if inputs, targets and states agree on it."""
    inputs = real_array("inputs", cost.inputs, shape=("time", "batch", cost.cell.input_size))
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
    return batch[0]
