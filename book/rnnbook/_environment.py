"""The environment of processes that compute: variables that are read when a process starts.

One thread for linear algebra gives the same numbers on every machine, and several processes do not
get in each other's way. Memory that is freed stays with the process (glibc): arrays of the same
sizes come and go in every update, and need not be cleared by the kernel of the system each time.
"""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
