"""The loop: epochs of steps, which can be killed at any moment and resumed."""

import time
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnnpedagogy._storage import digest
from rnnpedagogy._validation import non_negative, positive_integer, real_array
from rnnpedagogy.cells import flatten, unflatten
from rnnpedagogy.training import checkpoints
from rnnpedagogy.training.optimisers import Adam, clip_by_global_norm
from rnnpedagogy.training.schedules import StepSchedule


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
    """Trained parameters, and how they came about.

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
    """

    params: dict
    best_params: dict
    epoch: int
    stopped: str
    diverged: bool
    history: dict
    records: dict
    seconds: np.ndarray


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
        With ``batches`` and ``gradient`` as described at the top of `rnnpedagogy.training`.
    params : dict of array
        Where training starts: one parameter set, all of one type, float32 or float64, which remains
        the type of all that is computed.
    epochs : int
        How many epochs in all, those of a resumed checkpoint included.
    rng : numpy.random.Generator
        Source of all randomness.
    optimiser : Adam, optional
        Anything with its two methods; ``Adam()`` if not given.
    rate : float or callable
        The learning rate: a number, or a function, such as a `StepSchedule`, of the list of watched
        values of all finished epochs: the validation if there is one, else the cost.
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
        Show a progress bar, if tqdm is installed.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        If the checkpoint belongs to another run.
    FileNotFoundError
        If its folder does not exist.

    Warns
    -----
    RuntimeWarning
        If cost, gradient, parameters or validation are not finite any more: then training stops.
    """
    epochs = positive_integer("epochs", epochs, minimum=0)
    every = positive_integer("checkpoint_every", checkpoint_every)
    shapes, theta = _start(params)
    job = _Job(
        objective=objective,
        shapes=shapes,
        rng=rng,
        optimiser=Adam() if optimiser is None else optimiser,
        rate=rate,
        largest_norm=np.inf if clip is None else non_negative("clip", clip),
        project=project,
        validate=validate,
        patience=patience,
        record={} if record is None else record,
    )
    path = None if checkpoint is None else Path(checkpoint)
    settings = None if path is None else _checkpoint_settings(path, job, theta)
    run = _begin(job, theta, path, settings, epochs)
    problem = None
    with _progress(epochs, run.epoch, progress) as show:
        while run.epoch < epochs and not _has_waited_enough(job, run):
            begun = time.perf_counter()
            try:
                found = _epoch(job, run)
            except _NotFiniteError as error:
                problem = f"{error} in epoch {run.epoch + 1}"
                warnings.warn(f"training stopped: {problem}", RuntimeWarning, stacklevel=2)
                run.theta = run.good
                break
            run.finish_epoch(found, time.perf_counter() - begun)
            _record(job, run)
            if path is not None and run.epoch % every == 0:
                checkpoints.save(path, run, settings, rng)
            show(found)
    if path is not None and problem is None and run.epoch % every:
        checkpoints.save(path, run, settings, rng)
    if problem is None and run.epoch < epochs:
        stopped = f"no lower validation in {patience} epochs, after epoch {run.epoch}"
    else:
        stopped = problem or f"all {epochs} epochs done"
    return _result(run, shapes, stopped, diverged=problem is not None)


class _NotFiniteError(ArithmeticError):
    """A number that is infinite or not a number: the message says which."""


@dataclass(frozen=True)
class _Job:
    """All that stays as it is in training: the arguments of `train`, checked."""

    objective: object
    shapes: dict
    rng: np.random.Generator
    optimiser: object
    rate: object
    largest_norm: float
    project: object
    validate: object
    patience: int | None
    record: Mapping

    def __post_init__(self):
        if not isinstance(self.rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {self.rng!r}")
        if not callable(self.rate):
            non_negative("rate", self.rate)
        if self.patience is not None:
            positive_integer("patience", self.patience)
            if self.validate is None:
                raise ValueError(
                    f"patience needs validate, got patience={self.patience} without it"
                )
        if not isinstance(self.record, Mapping):
            raise TypeError(f"record must be a dictionary of recorders, got {self.record!r}")

    @property
    def schedule(self):
        """The learning rate as a function of the watched values."""
        return self.rate if callable(self.rate) else StepSchedule(self.rate, ())


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


def _checkpoint_settings(path, job, theta):
    """What a checkpoint is compared by: texts that tell data, parameters and settings apart."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint must be in a folder that exists, got {path}")
    objective = job.objective
    return {
        "objective": getattr(objective, "fingerprint", lambda: type(objective).__name__)(),
        "params": f"{job.shapes} {digest(theta)}",
        "optimiser": checkpoints.describe(job.optimiser),
        "rate": checkpoints.describe(job.rate),
        "clip": repr(job.largest_norm),
        "project": checkpoints.describe(job.project),
        "validate": checkpoints.describe(job.validate),
        "patience": repr(job.patience),
        "record": repr(sorted(job.record)),
        "rng": type(job.rng.bit_generator).__name__,
    }


def _begin(job, theta, path, settings, epochs):
    """A new run, or that of a checkpoint."""
    if path is None or not path.exists():
        run = _Run(theta, theta, job.optimiser.init(theta))
        _record(job, run)
        return run
    run = _Run(**checkpoints.load(path, settings, job.rng))
    if run.epoch > epochs:
        raise ValueError(f"epochs must be at least {run.epoch}, as in {path}, got {epochs}")
    return run


@contextmanager
def _progress(epochs, done, wanted):
    """A function that shows what an epoch found: a bar, if one is wanted and tqdm is installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        wanted = False
    if not wanted:
        yield lambda found: None
        return
    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def show(found):
            bar.update()
            shown = {name: f"{found[name]:.3g}" for name in ("cost", "validation") if name in found}
            bar.set_postfix(shown, refresh=False)

        yield show


def _has_waited_enough(job, run):
    """Whether the validation has not fallen for too long; also true of a resumed run."""
    return job.patience is not None and run.waited >= job.patience


def _epoch(job, run):
    """Go through the batches once, and validate: what the history keeps of an epoch."""
    costs, norms, state = [], [], None
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        rate = float(job.schedule(run.watched))
        for k, batch in enumerate(job.objective.batches(job.rng), start=1):
            cost, norm, state = _step(job, run, rate, k, batch, state)
            costs.append(cost)
            norms.append(norm)
        if not costs:
            raise ValueError("the objective must give at least one batch, got none")
        found = {
            "cost": float(np.mean(costs)),
            "gradient_norm": float(np.mean(norms)),
            "largest_gradient_norm": max(norms),
            "rate": rate,
        }
        if job.validate is not None:
            found["validation"] = float(job.validate(unflatten(run.theta, job.shapes)))
            _require_finite({"validation": found["validation"]})
    return found


def _step(job, run, rate, k, batch, state):
    """Gradient, clipping, update, projection, with the ``k``-th batch of an epoch."""
    found = job.objective.gradient(unflatten(run.theta, job.shapes), batch, state, job.rng)
    if np.ndim(found.value):
        raise ValueError(f"the cost must be one number, got shape {np.shape(found.value)}")
    gradient = _vector("a gradient", found.params, job, run)
    gradient, norm = clip_by_global_norm(gradient, job.largest_norm)
    cost = float(found.value)
    _require_finite({"cost": cost, "gradient": norm}, f" of batch {k}")
    run.good = run.theta
    theta, memory = job.optimiser.update(run.theta, gradient, run.memory, rate)
    _require_finite({"parameters": theta} | memory, f" after batch {k}")
    if job.project is not None:
        projected = job.project(unflatten(theta, job.shapes))
        theta = _vector("projected parameters", projected, job, run)
        _require_finite({"projected parameters": theta}, f" after batch {k}")
    run.theta, run.memory = theta, memory
    return cost, norm, found.last_state


def _vector(what, params, job, run):
    """What an objective or a projection returned as a vector, in the order of the parameters."""
    got = {name: np.shape(array) for name, array in params.items()}
    if got != job.shapes:
        raise ValueError(f"got {what} of shapes {got}, expected {job.shapes}")
    return flatten({name: params[name] for name in job.shapes}).astype(run.theta.dtype, copy=False)


def _require_finite(values, where=""):
    for name, value in values.items():
        if not np.isfinite(value).all():
            bad = np.asarray(value)[~np.isfinite(value)].flat[0]
            raise _NotFiniteError(f"{name}{where}: {bad}")


def _record(job, run):
    for name, recorder in job.record.items():
        epochs, values = run.recorded.setdefault(name, []), run.records.setdefault(name, [])
        value = recorder(run.epoch, unflatten(run.theta, job.shapes))
        if value is not None:
            epochs.append(run.epoch)
            values.append(value)


def _result(run, shapes, stopped, *, diverged):
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
    )
