"""What networks are trained on: keep a frequency going, remember symbols, predict the next word."""

from rnnpedagogy.tasks.sequences import (
    Oscillation,
    Task,
    free_oscillation,
    oscillation,
    sine_generation,
    symbol_classification,
    symbol_splits,
)

__all__ = [
    "Oscillation",
    "Task",
    "free_oscillation",
    "oscillation",
    "sine_generation",
    "symbol_classification",
    "symbol_splits",
]
