"""The result as a page, a table and pictures."""
