"""Attacks on the library, seeded: files damaged on purpose, calls at random, kills, full disks, many threads.

`make attack` runs them for a time, `tests/test_attack.py` a few rounds of each.
"""
