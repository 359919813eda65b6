"""Trying a step once, before any run: what is wrong with it is said here, not deep inside."""

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.misc import flatten
from autograd.tracer import getval

STEP, CLOSE = 1e-6, 1e-5  # of a central difference, and how near to it a derivative has to be


def check_step(cell):
    """Raise if the step of a cell cannot be run on batches, or cannot be differentiated.

    It is tried on three parameter sets and six states, once for each cell.

    Raises
    ------
    TypeError, ValueError
        If the step does not run on arrays of these shapes,
        returns another shape than that of the state, changes its arguments, gives a batch other
        values than each of its members, cannot be differentiated, or is differentiated wrongly; if
        ``hidden`` does not select ``H`` entries of the state.
    """
    if vars(cell).get("_step_was_tried"):
        return
    rng, shapes = np.random.default_rng(0), shapes_of(cell)
    params = {name: rng.uniform(-1, 1, (3, *shape)) for name, shape in shapes.items()}
    states = rng.uniform(-1, 1, (2, 3, cell.state_size))
    inputs = rng.uniform(-1, 1, (2, 3, cell.input_size))
    _check_hidden(cell, states)
    _check_batch(cell, params, states, inputs)
    _check_derivative(cell, rng, params, states, inputs)
    cell._step_was_tried = True


def shapes_of(cell, output_size=None):
    """The `param_shapes` of a cell, or an error that says what they are instead."""
    try:
        shapes = cell.param_shapes(output_size)
    except TypeError as error:
        raise TypeError(f"param_shapes of {cell!r} must take output_size: {error}") from error
    if not (isinstance(shapes, dict) and all(isinstance(s, tuple) for s in shapes.values())):
        raise TypeError(f"param_shapes of {cell!r} must map names to shapes, got {shapes!r}")
    return shapes


def _check_hidden(cell, states):
    size, at = cell.hidden_size, np.asarray(cell.hidden(np.arange(cell.state_size)))
    known = at.shape == (size,) and np.isin(at, np.arange(cell.state_size)).all()
    if not (known and np.array_equal(cell.hidden(states), states[..., at])):
        raise ValueError(f"hidden of {cell!r} must select {size} entries of the state")


def _check_batch(cell, params, states, inputs):
    kept = states.copy(), inputs.copy()
    batch = _run(cell, params, states, inputs)
    if not all(map(np.array_equal, kept, (states, inputs))):
        raise ValueError(f"the step of {cell!r} must not change its arguments")
    for index in np.ndindex(2, 3):
        own = {name: array[index[1]] for name, array in params.items()}
        single = _run(cell, own, states[index], inputs[index])
        if not np.allclose(batch[index], single, rtol=1e-10, atol=1e-10):
            raise ValueError(
                f"the step of {cell!r} must treat the members of a batch one by one, got "
                f"{batch[index]} in a batch and {single} alone"
            )


def _run(cell, params, state, inputs):
    shapes = {name: array.shape for name, array in params.items()}
    given = f"parameters of shapes {shapes}, state {state.shape} and inputs {inputs.shape}"
    try:
        after = cell.step(params, state, inputs)
    except NotImplementedError:
        raise
    except Exception as error:
        raise ValueError(f"the step of {cell!r} does not run on {given}: {error!r}") from error
    if (shape := np.shape(after)) != state.shape:
        raise ValueError(
            f"the step of {cell!r} must return the shape of the state, got {shape} from {given}"
        )
    return after


def _check_derivative(cell, rng, *arguments):
    """Compare the slope along a random direction of everything with a central difference."""
    at, rebuild = flatten(arguments)
    along, weights = rng.normal(size=at.shape), rng.normal(size=arguments[1].shape)

    def moved(s):
        after = cell.step(*rebuild(at + s * along))
        if np.asarray(getval(after)).dtype.kind == "O":  # all derivatives would be zero
            raise TypeError("a function of numpy made an array of objects from traced values")
        return anp.sum(weights * after)

    try:
        slope = grad(moved)(0.0)
    except Exception as error:
        raise TypeError(
            f"the step of {cell!r} cannot be differentiated; it must be written with "
            "autograd.numpy, without float(), asarray and assignment in place, where a traced "
            f"value may arrive: {error!r}"
        ) from error
    difference = (moved(STEP) - moved(-STEP)) / (2 * STEP)
    if not abs(slope - difference) <= CLOSE * (1 + abs(difference)):
        raise ValueError(
            f"the step of {cell!r} is differentiated wrongly, {slope} where a difference gives "
            f"{difference}: it must be written with autograd.numpy and be smooth almost everywhere"
        )
