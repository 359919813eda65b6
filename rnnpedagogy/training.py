r"""Training: optimisers, learning rates, and a loop that can be killed, resumed and looked into.

What is trained is an *objective*, any object with two methods:

``batches(rng)``
    An iterator over the batches of one epoch.
``gradient(params, batch, state, rng)``
    An object with ``value`` (one number), ``params`` (the gradient, with the keys and shapes of
    ``params``) and ``last_state``, such as `Gradient`. ``state`` is the ``last_state`` of the batch
    before, or ``None`` at the start of an epoch: an objective that carries no state ignores it.
    ``rng`` is for what is drawn anew at each step, such as dropout.

`Sequences` and `Stream` are two of them. A third method, ``fingerprint()``, may return a text that
tells objectives apart: then a checkpoint is not resumed with other data.

All randomness comes from one generator, and one vector ``θ`` holds all parameters: a run is a
function of its arguments, to the last bit.
"""

import json
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path

import numpy as np

from rnnpedagogy._storage import digest, read_arrays, write_arrays
from rnnpedagogy._validation import non_negative, positive_integer, real_array
from rnnpedagogy.cells import flatten, linear, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum, orbit_diagram
from rnnpedagogy.gradients import bptt, state_jacobians

# -------------------------------------------------------------------------------- objectives


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


# -------------------------------------------------------------------------------- optimisers


@dataclass(frozen=True)
class SGD:
    r"""Gradient descent, with momentum if wanted.

    With the gradient :math:`g` and the learning rate :math:`\eta`,

    .. math:: v \leftarrow \mu v + g, \qquad \theta \leftarrow \theta - \eta v, \qquad v_0 = 0.

    Parameters
    ----------
    momentum : float
        ``0 ≤ μ < 1``; under a constant gradient the steps grow by the factor ``1/(1 − μ)``.

    References
    ----------
    B. T. Polyak, Some methods of speeding up the convergence of iteration methods, USSR
    Computational Mathematics and Mathematical Physics 4 (1964).
    """

    momentum: float = 0.0

    def __post_init__(self):
        _fraction("momentum", self.momentum)

    def init(self, theta):
        """The memory before the first step."""
        return {"velocity": np.zeros_like(theta)}

    def update(self, theta, gradient, memory, rate):
        """One step, entry by entry, for arrays of any shape.

        Parameters
        ----------
        theta, gradient : array
            ``θ`` and ``g``.
        memory : dict of array
            As `init` or the step before returned it.
        rate : float
            ``η``.

        Returns
        -------
        theta : array
        memory : dict of array
        """
        velocity = self.momentum * memory["velocity"] + gradient
        return theta - rate * velocity, {"velocity": velocity}


@dataclass(frozen=True)
class Adam:
    r"""Steps of about the learning rate in every entry, from running means of gradients.

    With the gradient :math:`g` and the learning rate :math:`\eta`, at step :math:`k = 1, 2, \dots`

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \\
        \theta &\leftarrow \theta
        - \eta \frac{m / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \varepsilon},
        \qquad m_0 = v_0 = 0.

    Parameters
    ----------
    betas : tuple of two floats
        ``β_1`` and ``β_2``, each in ``[0, 1)``.
    eps : float
        ``ε``, at least zero.

    References
    ----------
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.
    """

    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self):
        for beta in self.betas:
            _fraction("betas", beta)
        non_negative("eps", self.eps)

    def init(self, theta):
        """The memory before the first step."""
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta), "steps": np.array(0)}

    def update(self, theta, gradient, memory, rate):
        """One step, entry by entry, for arrays of any shape; arguments as for `SGD.update`."""
        beta_1, beta_2 = self.betas
        k = int(memory["steps"]) + 1
        mean = beta_1 * memory["mean"] + (1 - beta_1) * gradient
        square = beta_2 * memory["square"] + (1 - beta_2) * gradient * gradient
        scale = np.sqrt(square / (1 - beta_2**k)) + self.eps
        theta = theta - (rate / (1 - beta_1**k)) * mean / scale
        return theta, {"mean": mean, "square": square, "steps": np.array(k)}


def _fraction(name, value):
    if not non_negative(name, value) < 1:
        raise ValueError(f"{name} must be below 1, got {value!r}")


def clip_by_global_norm(gradient, largest):
    r"""Shorten a gradient that is too long, keeping its direction.

    .. math:: g \min(1, c / \|g\|)

    Parameters
    ----------
    gradient : array
        ``g``, the gradient in *all* parameters (see `flatten`), whose norm is therefore global.
    largest : float
        ``c``; infinity to measure only.

    Returns
    -------
    clipped : array
    norm : float
        ``‖g‖`` before.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013.
    """
    size = np.abs(gradient).max(initial=0.0)
    if not 0 < size < np.inf:
        return gradient, float(size)
    direction = gradient / size  # squares of the entries themselves may overflow
    length = float(np.linalg.norm(direction))
    norm = float(size) * length
    return (gradient if norm <= largest else direction * (largest / length)), norm


# ---------------------------------------------------------------------------- learning rates


@dataclass(frozen=True)
class StepSchedule:
    """A learning rate that is multiplied by ``factor`` at each of the milestones.

    A schedule is a function of the watched values of all finished epochs (see `train`).

    Parameters
    ----------
    rate : float
        The rate at the start.
    milestones : collection of int
        After how many epochs it changes, such as ``(400, 700)`` or ``range(100, 1000, 100)``.
    factor : float
        What it is multiplied by.
    """

    rate: float
    milestones: Collection
    factor: float = 0.1

    def __post_init__(self):
        non_negative("rate", self.rate)
        non_negative("factor", self.factor)
        for milestone in self.milestones:
            positive_integer("milestones", milestone)

    def __call__(self, watched):
        passed = sum(milestone <= len(watched) for milestone in self.milestones)
        return self.rate * self.factor**passed


@dataclass(frozen=True)
class PlateauSchedule:
    """A learning rate that is multiplied by ``factor`` where the cost no longer falls.

    A schedule is a function of the watched values of all finished epochs (see `train`).

    Parameters
    ----------
    rate : float
        The rate at the start.
    factor : float
        What it is multiplied by after ``patience`` epochs in a row without a new lowest value.
    patience : int
        At least one; counting starts again after each change.
    threshold : float
        By what part of itself the lowest value must fall to count as a new one.
    smallest : float
        The rate does not fall below this.
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    smallest: float = 0.0

    def __post_init__(self):
        for name in ("rate", "factor", "smallest"):
            non_negative(name, getattr(self, name))
        _fraction("threshold", self.threshold)
        positive_integer("patience", self.patience)

    def __call__(self, watched):
        rate, lowest, waited = self.rate, np.inf, 0
        for value in watched:
            waited += 1
            if lowest == np.inf or value < lowest - self.threshold * abs(lowest):
                lowest, waited = value, 0
            if waited == self.patience:
                rate, waited = max(self.factor * rate, self.smallest), 0
        return rate


# ---------------------------------------------------------------------------------- the loop


@dataclass(frozen=True)
class Recording:
    """What a recorder returned in the course of training.

    Attributes
    ----------
    epochs : array of int, shape (R,)
        After how many epochs; 0 is before the first.
    values : array, shape (R, …)
        What was recorded.
    """

    epochs: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Training:
    """Trained parameters, how they came about, and the settings.

    Attributes
    ----------
    params : dict of array
        The last ones; where training met a number that is not finite, the last ones with finite
        cost and gradient.
    best_params : dict of array
        Those of the epoch with the lowest validation; without validation, ``params``.
    epoch : int
        How many epochs are finished.
    stopped : str
        Why training ended.
    diverged : bool
        Whether it ended because of a number that is not finite.
    history : dict of array, shape (epoch,)
        For each finished epoch ``cost`` and ``gradient_norm`` (means over its batches, with the
        parameters as they were at each, before clipping), ``largest_gradient_norm``, ``rate`` and,
        if there is one, ``validation``.
    records : dict of Recording
        What the recorders returned, by their names.
    seconds : array, shape (epoch,)
        How long each epoch took: the one thing that differs from run to run.
    settings : dict of str
        The settings, as a checkpoint stores and compares them.
    """

    params: dict
    best_params: dict
    epoch: int
    stopped: str
    diverged: bool
    history: dict
    records: dict
    seconds: np.ndarray
    settings: dict


def train(
    objective,
    params,
    *,
    epochs,
    rng,
    optimiser=None,
    rate=1e-3,
    clip=None,
    project=None,
    validate=None,
    patience=None,
    record=None,
    checkpoint=None,
    checkpoint_every=1,
    progress=True,
):
    """Minimise an objective, step by step and epoch by epoch.

    For each batch: gradient, clipping, update, projection. After each epoch: validation, recorders,
    checkpoint.

    Parameters
    ----------
    objective : object
        With ``batches`` and ``gradient`` as described at the top of this module.
    params : dict of array
        Where training starts: one parameter set, all of one type, float32 or float64, which remains
        the type of all that is computed.
    epochs : int
        How many epochs in all, those of a resumed checkpoint included.
    rng : numpy.random.Generator
        Source of all randomness.
    optimiser : SGD or Adam, optional
        Anything with their two methods; ``Adam()`` if not given.
    rate : float or callable
        The learning rate: a number, or a function, such as `StepSchedule` and `PlateauSchedule`, of
        the list of watched values of all finished epochs: the validation if there is one, else the
        cost.
    clip : float, optional
        Largest norm of the gradient, see `clip_by_global_norm`.
    project : callable, optional
        Maps the parameters after each update to those that are used.
    validate : callable, optional
        Maps parameters to a number, the lower the better: a `Cost` of other sequences, for example.
    patience : int, optional
        Stop after so many epochs in a row without a new lowest validation.
    record : dict of callable, optional
        Recorders by name, such as `OrbitRecorder`: functions ``(epoch, params)`` that return an
        array, or ``None`` for an epoch that is not recorded. They are called before the first epoch
        too, with epoch 0.
    checkpoint : path, optional
        A file that holds all that is needed to continue. If it is there, training continues from
        it, and ends with the same bits as if it had never been interrupted. It is replaced as a
        whole: a run that is killed while it writes leaves the last one untouched. That of another
        run is refused: data, parameters and settings are compared, functions by their names only.
    checkpoint_every : int
        Epochs between two checkpoints; there is always one at the end.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Training

    Raises
    ------
    ValueError, TypeError
        If an argument is not what it should be, or the checkpoint belongs to another run.

    Warns
    -----
    RuntimeWarning
        If cost, gradient, parameters or validation are not finite any more: then training stops.
    """
    from tqdm.auto import tqdm

    epochs = positive_integer("epochs", epochs, minimum=0)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
    optimiser = Adam() if optimiser is None else optimiser
    schedule = rate if callable(rate) else StepSchedule(rate, ())
    largest = np.inf if clip is None else non_negative("clip", clip)
    if patience is not None:
        positive_integer("patience", patience)
        if validate is None:
            raise ValueError(f"patience needs validate, got patience={patience} without it")
    record = {} if record is None else record
    if not isinstance(record, Mapping):
        raise TypeError(f"record must be a dictionary of recorders, got {record!r}")
    checkpoint_every = positive_integer("checkpoint_every", checkpoint_every)
    shapes, theta = _start(params)

    settings = {
        "objective": getattr(objective, "fingerprint", lambda: type(objective).__name__)(),
        "params": f"{shapes} {digest(theta)}",
        "optimiser": _describe(optimiser),
        "rate": _describe(rate),
        "clip": repr(clip),
        "project": _describe(project),
        "validate": _describe(validate),
        "patience": repr(patience),
        "record": repr(sorted(record)),
    }
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        run = _load(path, settings, rng)
        if run.epoch > epochs:
            raise ValueError(f"epochs must be at least {run.epoch}, as in {path}, got {epochs}")
    else:
        run = _Run(theta, theta, optimiser.init(theta))
        _record(run, record, shapes)

    stopped, diverged = f"all {epochs} epochs done", False
    with tqdm(total=epochs, initial=run.epoch, unit="epoch", disable=not progress) as bar:
        while run.epoch < epochs:
            if patience is not None and run.waited >= patience:  # also true of a resumed run
                stopped = f"no lower validation in {patience} epochs, after epoch {run.epoch}"
                break
            begun = time.perf_counter()
            try:
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    rate = float(schedule(run.watched))
                    found = _epoch(run, objective, optimiser, rate, largest, project, shapes, rng)
                    if validate is not None:
                        found["validation"] = float(validate(unflatten(run.theta, shapes)))
                        _require_finite({"validation": found["validation"]})
            except _NotFiniteError as problem:
                stopped, diverged = f"{problem} in epoch {run.epoch + 1}", True
                warnings.warn(f"training stopped: {stopped}", RuntimeWarning, stacklevel=2)
                run.theta = run.good
                break
            run.finish_epoch(found, time.perf_counter() - begun)
            _record(run, record, shapes)
            if path is not None and run.epoch % checkpoint_every == 0:
                _save(path, run, settings, rng)
            bar.update()
            shown = {name: f"{found[name]:.3g}" for name in ("cost", "validation") if name in found}
            bar.set_postfix(shown, refresh=False)

    if path is not None and not diverged and run.epoch % checkpoint_every:
        _save(path, run, settings, rng)

    return Training(
        params=unflatten(run.theta, shapes),
        best_params=unflatten(run.theta if run.best is None else run.best, shapes),
        epoch=run.epoch,
        stopped=stopped,
        diverged=diverged,
        history={name: np.array(values) for name, values in run.history.items()},
        records={
            name: Recording(np.array(run.recorded[name], int), np.array(values))
            for name, values in run.records.items()
        },
        seconds=np.array(run.seconds),
        settings=settings,
    )


class _NotFiniteError(ArithmeticError):
    """A number that is infinite or not a number: the message says which."""


@dataclass
class _Run:
    """All that changes in training: what a checkpoint holds, with the state of the generator."""

    theta: np.ndarray
    good: np.ndarray  # the last vector at which cost and gradient were found finite
    memory: dict
    best: np.ndarray | None = None
    history: dict = field(default_factory=lambda: {"cost": []})
    recorded: dict = field(default_factory=dict)  # epochs, by the recorder's name
    records: dict = field(default_factory=dict)
    seconds: list = field(default_factory=list)

    @property
    def epoch(self):
        """How many epochs are finished."""
        return len(self.history["cost"])

    @property
    def watched(self):
        """What the learning rate may depend on."""
        return self.history.get("validation", self.history["cost"])

    @property
    def waited(self):
        """Epochs since the lowest validation."""
        return self.epoch - 1 - np.argmin(self.history["validation"]) if self.epoch else 0

    def finish_epoch(self, found, seconds):
        for name, value in found.items():
            self.history.setdefault(name, []).append(value)
        self.seconds.append(seconds)
        if "validation" in found and self.waited == 0:
            self.best = self.theta


def _start(params):
    """Shapes of the parameters, and the vector of their values."""
    if not isinstance(params, Mapping) or not params:
        raise TypeError(f"params must be a dictionary of arrays, got {params!r}")
    arrays = {name: real_array(f"params[{name!r}]", array) for name, array in params.items()}
    dtypes = {str(array.dtype) for array in arrays.values()}
    if len(dtypes) > 1:
        raise TypeError(f"params must all have one type, got {' and '.join(sorted(dtypes))}")
    return {name: array.shape for name, array in arrays.items()}, flatten(arrays)


def _vector(what, params, shapes, dtype):
    """What an objective or a projection returned as a vector, in the order of the parameters."""
    got = {name: np.shape(array) for name, array in params.items()}
    if got != shapes:
        raise ValueError(f"got {what} of shapes {got}, expected {shapes}")
    return flatten({name: params[name] for name in shapes}).astype(dtype, copy=False)


def _epoch(run, objective, optimiser, rate, largest, project, shapes, rng):
    """Go through the batches once; means over them for the history."""
    costs, norms, state, dtype = [], [], None, run.theta.dtype
    for k, batch in enumerate(objective.batches(rng), start=1):
        found = objective.gradient(unflatten(run.theta, shapes), batch, state, rng)
        if np.ndim(found.value):
            raise ValueError(f"the cost must be one number, got shape {np.shape(found.value)}")
        gradient = _vector("a gradient", found.params, shapes, dtype)
        gradient, norm = clip_by_global_norm(gradient, largest)
        cost, state = float(found.value), found.last_state
        _require_finite({"cost": cost, "gradient": norm}, f" of batch {k}")
        run.good = run.theta
        theta, memory = optimiser.update(run.theta, gradient, run.memory, rate)
        _require_finite({"parameters": theta} | memory, f" after batch {k}")
        if project is not None:
            projected = project(unflatten(theta, shapes))
            theta = _vector("projected parameters", projected, shapes, dtype)
            _require_finite({"projected parameters": theta}, f" after batch {k}")
        run.theta, run.memory = theta, memory
        costs.append(cost)
        norms.append(norm)
    if not costs:
        raise ValueError("the objective must give at least one batch, got none")
    return {
        "cost": float(np.mean(costs)),
        "gradient_norm": float(np.mean(norms)),
        "largest_gradient_norm": max(norms),
        "rate": rate,
    }


def _require_finite(values, where=""):
    for name, value in values.items():
        if not np.isfinite(value).all():
            bad = np.asarray(value)[~np.isfinite(value)].flat[0]
            raise _NotFiniteError(f"{name}{where}: {bad}")


def _record(run, record, shapes):
    for name, recorder in record.items():
        epochs, values = run.recorded.setdefault(name, []), run.records.setdefault(name, [])
        value = recorder(run.epoch, unflatten(run.theta, shapes))
        if value is not None:
            epochs.append(run.epoch)
            values.append(value)


# ------------------------------------------------------------------------------- checkpoints


def _describe(setting):
    """A text that is the same for equal settings, in another process too."""
    if callable(setting) and not is_dataclass(setting):
        return getattr(setting, "__qualname__", type(setting).__name__)
    return repr(setting)


def _save(path, run, settings, rng):
    """Write all of a run into a file beside ``path``, then put that in its place at once."""
    arrays = {"theta": run.theta, "good": run.good, "seconds": np.array(run.seconds)}
    if run.best is not None:
        arrays["best"] = run.best
    for name in ("memory", "history", "recorded", "records"):
        for key, value in getattr(run, name).items():
            arrays[f"{name}/{key}"] = np.array(value)
    text = {"settings": settings, "rng": rng.bit_generator.state}
    arrays["text"] = np.array(json.dumps(text, default=lambda array: array.tolist()))
    write_arrays(path, arrays)


def _load(path, settings, rng):
    """The run in a checkpoint; ``rng`` is put into the state it had then."""
    try:
        arrays = read_arrays(path)
        text = json.loads(arrays.pop("text").item())
        stored = text["settings"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoint must be a file that train wrote, got {path}") from error
    for name, value in settings.items():
        if stored.get(name) != value:
            raise ValueError(
                f"the checkpoint {path} belongs to a run with {name} = {stored.get(name)}, "
                f"got {value}"
            )
    kind = type(rng.bit_generator).__name__
    if text["rng"]["bit_generator"] != kind:
        raise ValueError(
            f"the checkpoint {path} belongs to a run with rng = {text['rng']['bit_generator']}, "
            f"got {kind}"
        )
    rng.bit_generator.state = text["rng"]
    parts = {"memory": {}, "history": {}, "recorded": {}, "records": {}}
    for name in [name for name in arrays if "/" in name]:
        part, _, key = name.partition("/")
        value = arrays.pop(name)
        if part in ("history", "recorded"):
            value = value.tolist()
        parts[part][key] = list(value) if part == "records" else value
    seconds = arrays.pop("seconds").tolist()
    return _Run(**arrays, **parts, seconds=seconds)


# --------------------------------------------------------------------------------- recorders


def _readout(cell, params, states):
    """The outputs ``ŷ_t = W_ho h_t + b_o``, also where an orbit is lost (NaN)."""
    return linear(params["weight_ho"], cell.hidden(states)) + params["bias_o"]


@dataclass(frozen=True)
class OrbitRecorder:
    """The orbit diagram of training: where orbits under constant inputs end up, epoch by epoch.

    Called with an epoch and parameters it returns an array of shape ``(steps, K, S, q)``, or
    ``None`` if the epoch is not to be recorded. The parameters may hold more than those of the cell
    and its readout.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    inputs : array, shape (K, m), or callable
        Constant inputs; or a function of the parameters that returns them.
    starts : array, shape (S, n)
        Initial states, such as ``rng.normal(scale=100, size=(4, cell.state_size))``.
    steps, transient : int
        Steps that are kept, and thrown away before.
    observe : callable
        What is kept: ``(cell, params, states)`` to an array, ``states`` having the shape
        ``(steps, K, S, n)``; the outputs if not given.
    epochs : collection of int, optional
        When to record, such as ``range(0, 801, 10)``; always if not given.
    """

    cell: object
    inputs: np.ndarray | Callable
    starts: np.ndarray
    steps: int
    transient: int
    observe: Callable = _readout
    epochs: Collection | None = None

    def __call__(self, epoch, params):
        if self.epochs is not None and epoch not in self.epochs:
            return None
        params, starts, inputs = _dynamics(self, params)
        return self.observe(self.cell, params, _orbits(self, params, starts, inputs))


@dataclass(frozen=True)
class ExponentRecorder:
    r"""How fast orbits under constant inputs separate, and how much a step can stretch.

    Called with an epoch and parameters it returns an array of shape ``(K, S, 2)``: the largest
    Lyapunov exponent, and the mean of :math:`\log \|\partial x_{t+1}/\partial x_t\|_2` over the
    states of the orbit. All are NaN if one of the orbits leaves the finite numbers.

    Parameters
    ----------
    cell, inputs, starts, steps, transient, epochs
        As for `OrbitRecorder`.
    """

    cell: object
    inputs: np.ndarray | Callable
    starts: np.ndarray
    steps: int
    transient: int
    epochs: Collection | None = None

    def __call__(self, epoch, params):
        if self.epochs is not None and epoch not in self.epochs:
            return None
        params, starts, inputs = _dynamics(self, params)
        orbits = _orbits(self, params, starts, inputs)
        if not np.isfinite(orbits).all():
            return np.full((*orbits.shape[1:-1], 2), np.nan)
        constant = _constant(inputs, self.transient + self.steps)
        spectrum = lyapunov_spectrum(
            CellMap(self.cell, params, constant),
            np.broadcast_to(starts, orbits.shape[1:]),
            steps=self.steps,
            transient=self.transient,
            exponents=1,
            blocks=1,
        )
        stretch = 0.0
        for state in orbits:
            _, jacobians = state_jacobians(self.cell, params, state, constant[:1])
            stretch = stretch + np.log(np.linalg.norm(jacobians[0], 2, axis=(-2, -1)))
        return np.stack([spectrum.exponents[..., 0], stretch / self.steps], axis=-1)


def _dynamics(recorder, params):
    """The parameters of the cell alone, initial states, and constant inputs, all of one type."""
    inputs = recorder.inputs(params) if callable(recorder.inputs) else recorder.inputs
    known = recorder.cell.param_shapes(1)
    params = {name: array for name, array in params.items() if name in known}
    dtype = params["weight_ih"].dtype
    inputs = real_array("inputs", inputs, shape=("K", recorder.cell.input_size))
    starts = real_array("starts", recorder.starts, shape=("S", recorder.cell.state_size))
    return params, starts.astype(dtype, copy=False), inputs.astype(dtype, copy=False)


def _constant(inputs, steps):
    """Inputs ``(K, m)`` for all steps and starts: shape ``(steps, K, 1, m)``."""
    return np.broadcast_to(inputs[:, np.newaxis], (steps, len(inputs), 1, inputs.shape[-1]))


def _orbits(recorder, params, starts, inputs):
    """States after the transient, shape ``(steps, K, S, n)``; NaN where an orbit is lost."""
    constant = _constant(inputs, recorder.transient + recorder.steps)
    return orbit_diagram(
        lambda _: CellMap(recorder.cell, params, constant),
        np.arange(len(inputs), dtype=float),
        starts,
        steps=recorder.steps,
        transient=recorder.transient,
    ).states
