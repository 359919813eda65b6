"""The cost ``V(θ)`` of a cell with a linear readout, as a function of the parameters."""

import autograd.numpy as anp
import numpy as np

from rnnpedagogy._columns import align
from rnnpedagogy._validation import broadcast_shapes, choice, integer_array, real_array, takes
from rnnpedagogy.cells import readout
from rnnpedagogy.rollout import lay_out, weights_of


class SquaredError:
    """The loss ``ℓ(ŷ, y) = ‖ŷ − y‖²`` and its derivative ``2 (ŷ − y)``."""

    def check_targets(self, targets, output_size, steps):
        return real_array("targets", targets, shape=(steps, ..., output_size or "p"))

    def batch_shape(self, targets):
        return targets.shape[1:-1]

    def value(self, outputs, targets):
        """``ℓ``, shape ``(N, …)``, for outputs of shape ``(N, …, p)``."""
        return anp.sum((outputs - targets) ** 2, axis=-1)

    def value_and_slope(self, outputs, targets):
        """``ℓ``, and ``∂ℓ/∂ŷ`` of shape ``(N, …, p)``."""
        return self.value(outputs, targets), 2 * (outputs - targets)


class CrossEntropy:
    """The loss ``ℓ(ŷ, y) = log Σ_j exp(ŷ_j) − ŷ_y`` of a class ``y``.

    Its derivative is ``softmax(ŷ) − e_y``.
    """

    def check_targets(self, targets, output_size, steps):
        return integer_array("targets", targets, shape=(steps, ...), below=output_size)

    def batch_shape(self, targets):
        return targets.shape[1:]

    def value(self, outputs, targets):
        """``ℓ`` in nats, shape ``(N, …)``, for scores of shape ``(N, …, p)``."""
        largest = anp.max(anp.real(outputs), axis=-1, keepdims=True)
        log_sum = anp.log(anp.sum(anp.exp(outputs - largest), axis=-1)) + largest[..., 0]
        one_hot = targets[..., np.newaxis] == np.arange(outputs.shape[-1])
        return log_sum - anp.sum(outputs * one_hot, axis=-1)

    def value_and_slope(self, outputs, targets):
        """``ℓ``, and ``∂ℓ/∂ŷ`` of shape ``(N, …, p)``, from one array of exponentials."""
        at = np.broadcast_to(targets, outputs.shape[:-1])[..., np.newaxis]
        z = outputs - np.max(outputs.real, axis=-1, keepdims=True)
        value = -np.take_along_axis(z, at, axis=-1)
        np.exp(z, out=z)
        total = np.sum(z, axis=-1, keepdims=True)
        value += np.log(total)
        z /= total
        np.put_along_axis(z, at, np.take_along_axis(z, at, axis=-1) - 1, axis=-1)
        return value[..., 0], z


READOUT = ("weight_ho", "bias_o")
LOSSES = {"squared error": SquaredError, "cross-entropy": CrossEntropy}


class Cost:
    r"""The cost :math:`V(\theta) = \frac1N \sum_{t=1}^N \ell(\hat y_t, y_t)`, a function of ``θ``.

    The states follow ``x_t = f(x_{t-1}, u_t; θ)``, the outputs are ``ŷ_t = W_ho h_t + b_o``. All
    but the parameters is fixed when the cost is made; over a batch of sequences the cost is
    averaged.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    inputs : array, shape (N, …, m)
        ``u_1, …, u_N``.
    targets : array
        ``y_1, …, y_N``: real, shape ``(N, …, p)``, for the squared error; classes, integers of
        shape
        ``(N, …)``, for the cross-entropy.
    state : array, shape (…, n), optional
        ``x_0``; zero if not given.
    loss : {"squared error", "cross-entropy"}
        The function ℓ.
    at : {"all", "last"}
        Whether all steps count, or the last alone: then ``V = ℓ(ŷ_N, y_N)``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnpedagogy.cells import Elman
    >>> rng = np.random.default_rng(0)
    >>> cell = Elman(1, 3)
    >>> V = Cost(cell, rng.normal(size=(10, 1)), rng.normal(size=(10, 2)))
    >>> V(cell.init_params(rng, output_size=2)).shape
    ()
    """

    @takes
    def __init__(self, cell, inputs, targets, *, state=None, loss="squared error", at="all"):
        self.cell = cell
        self.inputs = real_array("inputs", inputs, shape=("time", ..., cell.input_size))
        if state is None:
            state = cell.zero_state(dtype=self.inputs.dtype)
        self.state = real_array("state", state, shape=(..., cell.state_size))
        self.loss = LOSSES[choice("loss", loss, tuple(LOSSES))]()
        self.at = choice("at", at, ("all", "last"))
        self.targets = self.loss.check_targets(targets, None, self.steps)
        self.batch = broadcast_shapes(
            "the batch axes of state, inputs and targets",
            self.state.shape[:-1],
            self.inputs.shape[1:-1],
            self.loss.batch_shape(self.targets),
        )
        if 0 in self.batch:
            raise ValueError(
                f"the batch must hold at least one sequence, got batch axes {self.batch}"
            )

    @property
    def steps(self):
        """The sequence length ``N``."""
        return len(self.inputs)

    @property
    def step_weights(self):
        """The weight of each step in the cost, ``1/N`` each, or one for the last alone."""
        if self.at == "all":
            return np.full(self.steps, 1 / self.steps)
        return np.append(np.zeros(self.steps - 1), 1.0)

    def __call__(self, params):
        """``V(θ)``, with the leading axes of the parameters, if they have any."""
        run, _ = self.lay_out(*self.check_params(params))
        return sum(self.value_and_slope(run, states, at)[0] for at, states, _ in run.segments())

    @takes
    def step_by_step(self, params):
        """``V(θ)`` as it is defined, one readable step at a time; differentiable by autograd."""
        state, value = self.state, 0.0
        for inputs, targets, weight in zip(
            self.inputs, self.targets, self.step_weights, strict=True
        ):
            state = self.cell.step(params, state, inputs)
            outputs = readout(params, self.cell.hidden(state))
            value = value + weight * anp.mean(self.loss.value(outputs, targets))
        return value

    @takes
    def check_params(self, params, *, single=None):
        """`Cell.check_params` for parameters that have to include a readout of the right size.

        ``single`` names the caller if that takes one parameter set only.
        """
        missing = [name for name in READOUT if name not in params]
        if missing:
            raise ValueError(
                f"params must include a linear readout: {' and '.join(missing)} missing"
            )
        checked, lead = self.cell.check_params(params)
        params = {name: checked[name] for name in params}  # the order of `flatten` is the caller's
        output_size = params["bias_o"].shape[-1]
        self.loss.check_targets(self.targets, output_size, self.steps)
        if single and lead:
            raise ValueError(f"{single} takes one parameter set, got leading axes of shape {lead}")
        return params, lead

    def lay_out(self, params, lead):
        """The `Run` at parameters that are known to be good, or complex, and the way back to them.

        That is `Cell.reparametrise`'s ``pull_back``, for the gradients in the cell's weights.
        """
        weights, pull_back = weights_of(self.cell, params)
        run = lay_out(
            self.cell,
            weights,
            lead,
            self.state,
            self.inputs,
            output_weights={name: params[name] for name in READOUT},
            batch=self.loss.batch_shape(self.targets),
        )
        return run, pull_back

    def value_and_slope(self, run, states, segment):
        """The part of ``V`` that a segment of the steps adds, and its derivative in the outputs.

        ``states`` runs from the state before the segment to the one at its end, in the inner
        layout; the derivative has the shape ``(steps, …, p)``.
        """
        outputs = run.outputs(states)
        own = len(self.loss.batch_shape(self.targets))
        targets = align(self.targets[segment], self.targets.ndim - own + len(run.layout.batch))
        weights = self.step_weights[segment].astype(outputs.real.dtype)
        losses, slopes = self.loss.value_and_slope(outputs, targets)
        losses = np.tensordot(weights, losses, axes=1)
        value = losses.mean(axis=run.layout.averaged_axes).reshape(run.layout.lead)
        slopes *= (weights / run.layout.averaged_size).reshape(-1, *(1,) * (outputs.ndim - 1))
        return value, slopes
