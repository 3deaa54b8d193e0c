"""`speed` (`make bench`, `make gpu`) and `effect` (`make effect`) measure; `guide` generates docs/guide."""
