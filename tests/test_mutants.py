"""Mutants are small changes of code, and of nothing that no test is about."""

from tests.mutants.mutations import mutants

SOURCE = '''"""A module."""

def clipped(values: list[float], most: float = 1.0) -> float:
    """What 3 < 4 says here is no code."""
    if not values:
        raise ValueError("no values", 17)
    total = sum(values) / len(values)
    return min(total, most)
'''


def test_each_is_another_program():
    found = list(mutants(SOURCE))
    assert [(mutant.line, mutant.change) for mutant in found] == [
        (5, "if not values:  ->  if False:"),
        (5, "if not values:  ->  if True:"),
        (3, "1.0  ->  2.0"),
        (5, "not values  ->  values"),
        (6, "raise ValueError('no values', 17)  ->  pass"),
        (7, "sum(values) / len(values)  ->  sum(values) * len(values)"),
        (8, "min  ->  max"),
    ]
    programs = {mutant.applied(SOURCE) for mutant in found}
    assert len(programs) == len(found)
    assert [result(mutant.applied(SOURCE)) for mutant in found] == [1, None, 2, None, 1, 1, 5]


def result(program):
    names = {}
    exec(program, names)
    try:
        return names["clipped"]([4.0, 6.0])
    except ValueError:
        return None
