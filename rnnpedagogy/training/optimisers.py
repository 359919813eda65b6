"""Optimisers: one step from a gradient, and what they remember of the steps before."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import at_most, float_array, fraction, non_negative, pair_of, takes


@takes(betas=pair_of(fraction))
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
    Kingma, D. P., Ba, J., Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.
    """

    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, theta):
        """The memory before the first step."""
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta), "steps": np.array(0)}

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
        beta_1, beta_2 = self.betas
        k = int(memory["steps"]) + 1
        mean = beta_1 * memory["mean"] + (1 - beta_1) * gradient
        square = beta_2 * memory["square"] + (1 - beta_2) * gradient * gradient
        scale = np.sqrt(square / (1 - beta_2**k)) + self.eps
        theta = theta - (rate / (1 - beta_1**k)) * mean / scale
        return theta, {"mean": mean, "square": square, "steps": np.array(k)}


@takes(part=non_negative, betas=pair_of(fraction))
@dataclass(frozen=True)
class SlowAtFirst(Adam):
    """`Adam`, the first entries of ``θ`` at a part of the rate.

    For the parameters of a rotation, which are the first ones of an `OrthogonalRNN`.

    Parameters
    ----------
    betas, eps
        As for `Adam`.
    count : int
        How many entries.
    part : float
        What the rate is multiplied by for them.

    References
    ----------
    M. Lezcano-Casado, D. Martínez-Rubio, Cheap orthogonal constraints in neural networks, ICML
    2019, whose experiments train rotations at a lower rate.
    """

    count: int = 0
    part: float = 0.1

    def update(self, theta, gradient, memory, rate):
        rates = np.full_like(theta, rate)
        rates[..., : self.count] *= self.part
        return super().update(theta, gradient, memory, rates)


@takes(gradient=float_array, largest=at_most)
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
