"""Mutation testing of the numerical core: `make mutants`."""
