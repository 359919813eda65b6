"""What is recorded in the course of training, beside orbits and exponents."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy.stability import contraction_certificate


@dataclass(frozen=True)
class CertificateRecorder:
    """How far an LSTM is from certain contraction: its rate, ``φ`` and largest forget bias.

    Called with an epoch and parameters it returns an array of three numbers: a recorder for
    `train`.
    """

    epochs: range
    input_bound: float = 1.0

    def __call__(self, epoch, params):
        if epoch not in self.epochs:
            return None
        certificate = contraction_certificate(params, input_bound=self.input_bound)
        return np.array([certificate.rate, certificate.phi, largest_forget_bias(params)])


def largest_forget_bias(params):
    """The largest entry of the forget gates' bias of an LSTM."""
    return np.split(params["bias"], 4)[1].max()
