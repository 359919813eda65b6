"""What orbits of a trained network settle on under constant inputs."""

import numpy as np

from rnnpedagogy.dynamics import CellMap, identify_attractors

END_KINDS = (
    "fixed point",
    "cycle",
    "closed curve",
    "chaotic",
    "still moving",
    "undecided",
    "diverged",
)


def end_states(cell, params, inputs, starts, *, transient, steps):
    """What orbits settle on under each of several constant inputs.

    Parameters
    ----------
    cell, params
        The network.
    inputs : array, shape (K, m)
        Constant inputs.
    starts : array, shape (S, n)
    transient, steps : int
        As for `identify_attractors`, which has a tolerance of 1e-4 here.

    Returns
    -------
    arrays : dict of array
        ``ends/attractors`` and ``ends/starts``, both of shape ``(K, 7)``: how many different ones
        there are of each of the `END_KINDS`, and how many starts lead to them; ``ends/labels``,
        shape ``(K, S)``: which one each start leads to, −1 if it diverges.
    states : list of array
        For each input one state of each attractor, shape ``(attractors, n)``.
    """
    attractors = np.zeros((len(inputs), len(END_KINDS)), np.int16)
    counts = np.zeros_like(attractors)
    labels = np.empty((len(inputs), len(starts)), np.int16)
    states = []
    for k, constant in enumerate(inputs):
        found = identify_attractors(
            CellMap(cell, params, constant),
            starts,
            transient=transient,
            steps=steps,
            tolerance=1e-4,
        )
        labels[k] = found.labels
        for one in found.attractors:
            attractors[k, END_KINDS.index(one.kind)] += 1
            counts[k, END_KINDS.index(one.kind)] += one.count
        counts[k, -1] = (found.labels < 0).sum()
        attractors[k, -1] = counts[k, -1] > 0
        states.append(np.array([one.states[-1] for one in found.attractors]))
    arrays = {"ends/attractors": attractors, "ends/starts": counts, "ends/labels": labels}
    return arrays, states
