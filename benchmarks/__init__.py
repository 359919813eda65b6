"""How fast the package is, next to other libraries: ``python -m benchmarks``.

One thread for everybody. The variables are read when a library is loaded, so they are set here,
before NumPy is imported.
"""

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
