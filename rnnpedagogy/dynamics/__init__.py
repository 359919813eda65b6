"""Dynamical systems: maps, where their orbits go, and how fast nearby orbits separate."""

from rnnpedagogy.dynamics.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from rnnpedagogy.dynamics.orbits import OrbitDiagram, orbit_diagram
from rnnpedagogy.dynamics.systems import CellMap, Map

__all__ = [
    "CellMap",
    "LyapunovSpectrum",
    "Map",
    "OrbitDiagram",
    "lyapunov_spectrum",
    "orbit_diagram",
]
