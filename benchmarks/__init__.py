"""How fast the package is, next to other libraries: ``python -m benchmarks`` in the repository's root.

One thread for everybody. The variables are read when a library is loaded, so they are set here, before NumPy.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
