"""The files under tests/data; their README says what they hold and where they come from."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
GOLDEN = DATA / "golden"
CLASS_TABLES = DATA / "class_tables.json"
