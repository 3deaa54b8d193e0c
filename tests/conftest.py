"""Settings every test file shares: the same Hypothesis examples on every machine, without a stopwatch."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "csl",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("csl")
