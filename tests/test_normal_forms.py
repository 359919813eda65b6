import autograd.numpy as anp
import numpy as np
import pytest
from maps import network_family, rotation

from rnnpedagogy.dynamics import Map, follow_branch

# Coefficients are differences of Jacobians, as in `test_branches`.
COEFFICIENT = 2e-7


def names(branch):
    return [one.name for one in branch.bifurcations]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("matrix", "name", "size"),
    [
        (np.eye(1), "pitchfork", 1),
        (-np.eye(1), "flip", 1),
        (rotation(1.0), "Neimark–Sacker", 2),
    ],
)
def test_the_sign_of_the_cubic_term_decides_what_is_born(matrix, name, size, sign):
    # x' = (μ ± |x|²) A x with A = 1, −1 or a rotation: c = ±1 with x = u, and ±2 with
    # x = √2 (Re u, Im u).
    def family(mu):
        def step(x):
            return (mu[..., np.newaxis] + sign * anp.sum(x * x, axis=-1, keepdims=True)) * (
                x @ matrix.T
            )

        return Map(step)

    branch = follow_branch(family, 0.5, np.zeros(len(matrix)), low=0.2, high=1.5)
    assert names(branch) == [name]
    (one,) = branch.bifurcations
    np.testing.assert_allclose(one.coefficient, sign * size, rtol=COEFFICIENT)
    assert one.criticality == ("subcritical" if sign > 0 else "supercritical")


@pytest.mark.parametrize("angle", [np.pi / 2, 2 * np.pi / 3])
def test_at_a_strong_resonance_nothing_is_said_of_criticality(angle):
    family = network_family(rotation(angle), np.zeros(2))
    branch = follow_branch(family, 0.5, np.zeros(2), low=0.2, high=1.5)
    assert names(branch) == ["Neimark–Sacker"]
    assert np.isnan(branch.bifurcations[0].coefficient)
    assert branch.bifurcations[0].criticality is None
