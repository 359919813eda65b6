"""Tasks made of generated sequences: keep a frequency going, remember symbols, copy, add."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import a_collection, all_of, an_instance, positive_integer, takes
from rnnpedagogy.costs import Cost
from rnnpedagogy.rollout import outputs, rollout

KINDS, DISTRACTORS = 2, 4  # of symbols: relevant ones, and all others
COPIED, ALPHABET = 10, 8  # symbols to be copied, and how many there are


@dataclass(frozen=True)
class Task:
    """Sequences with their targets, and what counts as an error.

    Attributes
    ----------
    inputs : array, shape (N, B, m)
        ``u_1, …, u_N`` of ``B`` sequences.
    targets : array
        ``y_1, …, y_N``: real, shape ``(N, B, p)``, or classes, integers of shape ``(N, B)``.
    loss, at : str
        As for `Cost`.
    output_size : int
        How many outputs ``p`` a readout needs.
    """

    inputs: np.ndarray
    targets: np.ndarray
    loss: str
    at: str
    output_size: int

    def cost(self, cell):
        """The `Cost` of a cell over all sequences, from the state zero."""
        return Cost(cell, self.inputs, self.targets, loss=self.loss, at=self.at)


@takes(tasks=all_of(an_instance(Task)))
def accuracy(cell, params, *tasks):
    """The share of sequences that a network classifies correctly at the last step.

    Parameters
    ----------
    cell, params
        The network, which starts from the state zero.
    *tasks : Task
        With classes for targets.

    Returns
    -------
    float
        The mean over the tasks.
    """
    shares = []
    if {task.loss for task in tasks} != {"cross-entropy"}:
        raise ValueError("tasks must be at least one, all with classes for targets")
    for task in tasks:
        states = rollout(cell, params, cell.zero_state(dtype=task.inputs.dtype), task.inputs)
        answers = outputs(cell, params, states[-1:])[0].argmax(axis=-1)
        shares.append((answers == task.targets[-1]).mean())
    return float(np.mean(shares))


@takes
def sine_generation(rng=None, *, sequences=100, length=400, dtype=np.float64):
    r"""A constant input ``ω``, to be turned into :math:`y_t = \sin(\omega t)`, ``t = 1, …, N``.

    The input is the frequency itself, in radians per step, not rescaled. It says how fast to
    oscillate, not when: the phase is fixed by the initial state alone. Frequencies lie between
    ``π/16`` and ``π/8``.

    Parameters
    ----------
    rng : numpy.random.Generator, optional
        Draws the frequencies from the uniform distribution; without it they are equally spaced,
        both ends included.
    sequences, length : int
        Number ``B`` of frequencies and length ``N`` of each sequence.
    dtype : {numpy.float64, numpy.float32}
        Type of inputs and targets.

    Returns
    -------
    Task
        Inputs and targets of shape ``(N, B, 1)``, squared error at all steps.

    References
    ----------
    Ribeiro et al., AISTATS 2020, the task of sine generation.
    """
    draw = np.linspace if rng is None else rng.uniform
    frequencies = draw(np.pi / 16, np.pi / 8, sequences)
    inputs = np.broadcast_to(frequencies[:, np.newaxis], (length, sequences, 1))
    targets = np.sin(np.arange(1, length + 1)[:, np.newaxis, np.newaxis] * inputs)
    return Task(inputs.astype(dtype), targets.astype(dtype), "squared error", "all", 1)


@takes(windows=all_of(a_collection))
def symbol_classification(
    rng, *, sequences=1000, length=200, windows=((9, 19), (39, 49)), dtype=np.float64
):
    r"""Say at the end which relevant symbols came, and in which order, among many distractors.

    In each window one step, drawn at random, holds one of two relevant symbols; all other steps
    hold one of four distractors, drawn at random. With symbols :math:`s_1, …, s_k \in \{0, 1\}` in
    the windows, the class is the number :math:`\sum_i s_i 2^{k-i}`. All classes are equally
    frequent, to within one sequence.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws everything.
    sequences : int
        Number ``B`` of sequences.
    length : int
        Length ``N``, at least to the end of the last window.
    windows : sequence of (start, stop)
        Half-open ranges of places, counted from 0, in order and without overlap.
    dtype : {numpy.float64, numpy.float32}
        Type of the inputs.

    Returns
    -------
    Task
        One-hot inputs of shape ``(N, B, 6)``, the relevant symbols first; the class, repeated at
        every step, as targets of shape ``(N, B)``; cross-entropy at the last step.

    References
    ----------
    Ribeiro et al., AISTATS 2020, after the sequence classification of Hochreiter and Schmidhuber
    (1997).
    """
    edges = [positive_integer("windows", edge, minimum=0) for pair in windows for edge in pair]
    starts, stops = edges[::2], edges[1::2]
    pairs = {len(window) for window in windows} == {2}
    if not pairs or edges != sorted(edges) or any(map(int.__eq__, starts, stops)):
        raise ValueError(f"windows must be ranges (start, stop) in order, got {windows!r}")
    length = positive_integer("length", length, minimum=stops[-1])

    classes = KINDS ** len(starts)
    labels = rng.permutation(np.arange(sequences) % classes)
    symbols = KINDS + rng.integers(DISTRACTORS, size=(length, sequences))
    places = rng.integers(starts, stops, size=(sequences, len(starts))).T
    for place, digit in zip(places, reversed(range(len(starts))), strict=True):
        symbols[place, np.arange(sequences)] = labels // KINDS**digit % KINDS
    inputs = np.eye(KINDS + DISTRACTORS, dtype=dtype)[symbols]
    targets = np.broadcast_to(labels, (length, sequences))
    return Task(inputs, targets, "cross-entropy", "last", classes)


@takes(sequences=all_of(positive_integer))
def symbol_splits(rng, *, sequences=(1000, 1000, 1000), **settings):
    """Independent parts of `symbol_classification`, say for training, validation and test.

    Parameters
    ----------
    rng : numpy.random.Generator
        Spawns one generator for each part, so that a part does not depend on the size of another.
    sequences : sequence of int
        Number of sequences in each part.
    **settings
        As for `symbol_classification`.

    Returns
    -------
    tuple of Task

    Raises
    ------
    ValueError
        If two parts share a sequence, which happens only when there are few different ones.
    """
    if not sequences:
        raise ValueError("sequences must hold at least one number, got none")
    parts = tuple(
        symbol_classification(own, sequences=size, **settings)
        for own, size in zip(rng.spawn(len(sequences)), sequences, strict=True)
    )
    own = [{sequence.tobytes() for sequence in part.inputs.argmax(axis=-1).T} for part in parts]
    if len(set().union(*own)) < sum(map(len, own)):
        raise ValueError(
            f"sequences must be few enough to keep the parts apart, got {sequences!r}: "
            "some occur in more than one part"
        )
    return parts


@takes(delay=positive_integer)
def copying(rng, *, sequences=100, delay=100, dtype=np.float64):
    r"""Repeat ten symbols, in their order, after a delay of ``T`` steps without anything.

    Ten symbols, each drawn from eight, are followed by ``T − 1`` blanks, one signal to begin, and
    ten blanks: ``N = T + 20`` steps. The answer is blank for ``T + 10`` steps, and then the ten
    symbols. What knows the place, but no symbol, answers all but ten steps rightly and guesses at
    these: its cross-entropy is :math:`10 \log 8 / (T + 20)`, and none without memory is lower.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the symbols.
    sequences, delay : int
        Number ``B`` of sequences, and ``T``.
    dtype : {numpy.float64, numpy.float32}
        Type of the inputs.

    Returns
    -------
    Task
        One-hot inputs of shape ``(N, B, 10)``: eight symbols, the blank, the signal; targets of
        shape ``(N, B)``, the blank being the class 8; cross-entropy at all steps.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997); in this form
    M. Arjovsky, A. Shah, Y. Bengio, Unitary evolution recurrent neural networks, ICML 2016.
    """
    symbols = rng.integers(ALPHABET, size=(COPIED, sequences))
    shown, targets = np.full((2, delay + 2 * COPIED, sequences), ALPHABET)
    shown[:COPIED] = targets[-COPIED:] = symbols
    shown[-COPIED - 1] = ALPHABET + 1
    return Task(np.eye(ALPHABET + 2, dtype=dtype)[shown], targets, "cross-entropy", "all", 9)


@takes
def adding(rng, *, sequences=100, length=100, dtype=np.float64):
    r"""Add two marked numbers among ``N``.

    The first input is a number from the uniform distribution on ``[0, 1]``, the second marks two
    steps by a one, drawn at random from the first and from the second half. The target is the sum
    of the two marked numbers; to answer always one is wrong by the variance of the sum, 1/6.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws numbers and places.
    sequences, length : int
        Number ``B`` of sequences, and ``N``, at least 2.
    dtype : {numpy.float64, numpy.float32}
        Type of inputs and targets.

    Returns
    -------
    Task
        Inputs of shape ``(N, B, 2)``; the sum, repeated at every step, as targets of shape
        ``(N, B, 1)``; squared error at the last step.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997); in this form
    M. Arjovsky, A. Shah, Y. Bengio, Unitary evolution recurrent neural networks, ICML 2016.
    """
    length = positive_integer("length", length, minimum=2)
    half = length // 2
    inputs = np.zeros((length, sequences, 2), dtype)
    inputs[..., 0] = rng.uniform(size=(length, sequences))
    places = rng.integers([0, half], [half, length], size=(sequences, 2)).T
    inputs[places, np.arange(sequences), 1] = 1
    sums = (inputs[..., :1] * inputs[..., 1:]).sum(axis=0)
    return Task(inputs, np.broadcast_to(sums, (length, *sums.shape)), "squared error", "last", 1)
