"""Dynamical systems: maps, where their orbits go, and how fast nearby orbits separate."""

from rnnpedagogy.dynamics.attractors import Attractors, identify_attractors
from rnnpedagogy.dynamics.basins import Basins, basins_of_attraction
from rnnpedagogy.dynamics.branches import Branch, follow_branch, switch_branch
from rnnpedagogy.dynamics.classification import Attractor
from rnnpedagogy.dynamics.fixed_points import (
    Cycles,
    FixedPoints,
    Stability,
    find_cycles,
    find_fixed_points,
    is_stable,
)
from rnnpedagogy.dynamics.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from rnnpedagogy.dynamics.normal_forms import Bifurcation
from rnnpedagogy.dynamics.orbits import OrbitDiagram, orbit_diagram
from rnnpedagogy.dynamics.oscillation import Oscillation, free_oscillation, oscillation
from rnnpedagogy.dynamics.systems import CellMap, Map
