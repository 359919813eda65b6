"""One thread for linear algebra, before NumPy is imported: the same numbers everywhere."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
