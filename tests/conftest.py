"""Settings every test file shares: the same Hypothesis examples on every machine, without a stopwatch."""

import os

import torch
from hypothesis import HealthCheck, settings

# Two test processes with two threads each, or what they start, wait for one another on two cores.
torch.set_num_threads(1)
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ[threads] = "1"

settings.register_profile(
    "csl",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("csl")
