"""The loop: epochs of steps, which can be killed at any moment and resumed."""

import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path

import numpy as np

from rnnpedagogy._storage import digest, read_arrays, write_arrays
from rnnpedagogy._validation import non_negative, positive_integer, real_array
from rnnpedagogy.cells import flatten, unflatten
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
        With ``batches`` and ``gradient`` as described at the top of `rnnpedagogy.training`.
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
    FileNotFoundError
        If the folder of the checkpoint does not exist.

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
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint must be in a folder that exists, got {path}")
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
                    eta = float(schedule(run.watched))
                    found = _epoch(run, objective, optimiser, eta, largest, project, shapes, rng)
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
