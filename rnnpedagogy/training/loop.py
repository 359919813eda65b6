"""The loop: epochs of steps, which can be killed at any moment and resumed."""

import time
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from rnnpedagogy._storage import digest
from rnnpedagogy._validation import _as_array, a_path, non_negative, parameters, real_array, takes
from rnnpedagogy.cells import flatten, unflatten
from rnnpedagogy.training.checkpoints import Checkpoint, describe
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


@takes(checkpoint=a_path)
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
    target=None,
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
    target : float, optional
        Stop once the watched value, the validation or else the cost, is not above it.
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
    run = _Run(
        params, objective, rng, optimiser, rate, clip, project, validate, patience, target, record
    )
    saved = None if checkpoint is None else Checkpoint(checkpoint, run.settings())
    with nullcontext() if saved is None else saved.held():
        stopped, diverged = _go_on(run, saved, epochs, checkpoint_every, progress)
    return run.result(stopped, diverged)


def _go_on(run, saved, epochs, every, progress):
    """Begin, or continue from what is saved; return why the run ended, and whether it diverged."""
    if saved is None or not saved.path.exists():
        run.call_recorders()
    else:
        saved.restore(run)
        if run.epoch > epochs:
            raise ValueError(
                f"epochs must be at least {run.epoch}, as in {saved.path}, got {epochs}"
            )
    stopped, diverged = f"all {epochs} epochs done", False
    left, show = _progress(range(run.epoch, epochs), progress)
    for _ in left:
        if run.has_arrived():
            stopped = f"arrived at {run.watched[-1]:.3g}, after epoch {run.epoch}"
            break
        if run.has_waited_enough():
            stopped = f"no lower validation in {run.patience} epochs, after epoch {run.epoch}"
            break
        try:
            found = run.next_epoch()
        except _NotFiniteError as error:
            stopped, diverged = f"{error} in epoch {run.epoch + 1}", True
            warnings.warn(f"training stopped: {stopped}", RuntimeWarning, stacklevel=4)
            run.theta = run.good
            break
        run.call_recorders()
        if saved is not None and run.epoch % every == 0:
            saved.write(run)
        show(found)
    if saved is not None and not diverged and run.epoch % every:
        saved.write(run)
    return stopped, diverged


def _progress(epochs, wanted):
    """The epochs, and a function that shows what one found: a bar, if tqdm is installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return epochs, lambda found: None
    bar = tqdm(epochs, initial=epochs.start, total=epochs.stop, unit="epoch", disable=not wanted)

    def show(found):
        shown = {name: f"{found[name]:.3g}" for name in ("cost", "validation") if name in found}
        bar.set_postfix(shown, refresh=False)

    return bar, show


class _NotFiniteError(ArithmeticError):
    """A number that is infinite or not a number: the message says which."""


@dataclass
class _Run:
    """The arguments of `train`, and what becomes of them: all that a checkpoint holds."""

    start: dict
    objective: object
    rng: np.random.Generator
    optimiser: object
    rate: object
    clip: float | None
    project: object
    validate: object
    patience: int | None
    target: float | None
    record: Mapping

    def __post_init__(self):
        self.optimiser = Adam() if self.optimiser is None else self.optimiser
        self.seed = sha256(repr(self.rng.bit_generator.state).encode()).hexdigest()[:8]
        self.rate = self.rate if callable(self.rate) else StepSchedule(self.rate, ())
        self.clip = np.inf if self.clip is None else self.clip
        if self.patience is not None and self.validate is None:
            raise ValueError(f"patience needs validate, got patience={self.patience} without it")
        self.record = {} if self.record is None else self.record
        if not isinstance(self.record, Mapping):
            raise TypeError(f"record must be a dictionary of recorders, got {self.record!r}")
        if not all(isinstance(name, str) and callable(self.record[name]) for name in self.record):
            raise TypeError(f"record must have texts as names, of functions, got {self.record}")
        self.shapes, self.theta = _shapes_and_vector(self.start)
        self.good = self.theta  # the last one at which cost and gradient were found finite
        self.best = self.theta
        self.memory = self.optimiser.init(self.theta)
        self.history = {"cost": [], "seconds": []}
        self.recorded = {name: [] for name in self.record}  # after how many epochs …
        self.records = {name: [] for name in self.record}  # … what was returned

    @property
    def epoch(self):
        """How many epochs are finished."""
        return len(self.history["cost"])

    @property
    def params(self):
        return unflatten(self.theta, self.shapes)

    def settings(self):
        """What a checkpoint is compared by: texts that tell data, parameters and settings apart."""
        objective = self.objective
        others = ("optimiser", "rate", "clip", "project", "validate", "patience", "target")
        return {
            "objective": getattr(objective, "fingerprint", lambda: type(objective).__name__)(),
            "params": f"{self.shapes} {digest(self.theta)}",
            "record": describe(self.record),
            "rng": f"{type(self.rng.bit_generator).__name__} {self.seed}",
        } | {name: describe(getattr(self, name)) for name in others}

    @property
    def watched(self):
        return self.history.get("validation", self.history["cost"])

    def has_arrived(self):
        """Whether the watched value has fallen to the target; also true of a resumed run."""
        return self.target is not None and bool(self.watched) and self.watched[-1] <= self.target

    def has_waited_enough(self):
        """Whether the validation has not fallen for too long; also true of a resumed run."""
        return self.patience is not None and self._waited() >= self.patience

    def _waited(self):
        """Epochs since the lowest validation."""
        return self.epoch - 1 - np.argmin(self.history["validation"]) if self.epoch else 0

    def call_recorders(self):
        for name, recorder in self.record.items():
            value = recorder(self.epoch, self.params)
            if value is not None:
                _check_record(name, value, self.records[name])
                self.recorded[name].append(self.epoch)
                self.records[name].append(value)

    def next_epoch(self):
        """Go through the batches once, and validate; what the history keeps of that."""
        begun, costs, norms, state = time.perf_counter(), [], [], None
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            rate = non_negative("rate", self.rate(self.watched))
            for k, batch in enumerate(self.objective.batches(self.rng), start=1):
                cost, norm, state = self._step(rate, k, batch, state)
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
            if self.validate is not None:
                value = self.validate(self.params)
                if np.ndim(value) or np.asarray(value).dtype.kind not in "fiu":
                    raise TypeError(f"validate must return a number, got {value!r}")
                found["validation"] = float(value)
                _require_finite({"validation": found["validation"]})
        found["seconds"] = time.perf_counter() - begun
        for name, value in found.items():
            self.history.setdefault(name, []).append(value)
        if self.validate is not None and self._waited() == 0:
            self.best = self.theta
        return found

    def _step(self, rate, k, batch, state):
        """Gradient, clipping, update, projection, with the ``k``-th batch of an epoch."""
        found = self.objective.gradient(self.params, batch, state, self.rng)
        if np.ndim(found.value):
            raise ValueError(f"the cost must be one number, got shape {np.shape(found.value)}")
        gradient = self._vector("a gradient", found.params)
        gradient, norm = clip_by_global_norm(gradient, self.clip)
        cost = float(found.value)
        _require_finite({"cost": cost, "gradient": norm}, f" of batch {k}")
        self.good = self.theta
        theta, memory = self.optimiser.update(self.theta, gradient, self.memory, rate)
        _require_finite({"parameters": theta} | memory, f" after batch {k}")
        if self.project is not None:
            projected = self.project(unflatten(theta, self.shapes))
            theta = self._vector("projected parameters", projected)
            _require_finite({"projected parameters": theta}, f" after batch {k}")
        self.theta, self.memory = theta, memory
        return cost, norm, found.last_state

    def _vector(self, what, params):
        """What an objective or a projection returned, in order and type of the parameters."""
        parameters(what, params)
        got = {name: np.shape(array) for name, array in params.items()}
        if got != self.shapes:
            raise ValueError(f"got {what} of shapes {got}, expected {self.shapes}")
        vector = flatten({name: params[name] for name in self.shapes})
        return vector.astype(self.theta.dtype, copy=False)

    def result(self, stopped, diverged):
        history = {name: np.array(values) for name, values in self.history.items()}
        best = self.best if "validation" in history else self.theta
        return Training(
            params=self.params,
            best_params=unflatten(best, self.shapes),
            epoch=self.epoch,
            stopped=stopped,
            diverged=diverged,
            seconds=history.pop("seconds"),
            history=history,
            records={
                name: Recording(np.array(epochs, int), np.array(self.records[name]))
                for name, epochs in self.recorded.items()
            },
        )


def _shapes_and_vector(params):
    if not params:
        raise TypeError(f"params must be a dictionary of arrays, got {params!r}")
    arrays = {name: real_array(f"params[{name!r}]", array) for name, array in params.items()}
    dtypes = {str(array.dtype) for array in arrays.values()}
    if len(dtypes) > 1:
        raise TypeError(f"params must all have one type, got {' and '.join(sorted(dtypes))}")
    return {name: array.shape for name, array in arrays.items()}, flatten(arrays)


def _check_record(name, value, before):
    """Refuse what a checkpoint cannot hold, at the first epoch at which it comes."""
    array = _as_array(f"what recorder {name!r} returns", value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"recorder {name!r} must return an array of numbers, got {value!r}")
    if before and array.shape != np.shape(before[0]):
        raise ValueError(
            f"recorder {name!r} must return arrays of one shape, got {array.shape} "
            f"after {np.shape(before[0])}"
        )


def _require_finite(values, where=""):
    for name, value in values.items():
        if not np.isfinite(value).all():
            bad = np.asarray(value)[~np.isfinite(value)].flat[0]
            raise _NotFiniteError(f"{name}{where}: {bad}")
