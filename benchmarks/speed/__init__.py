"""Time and memory beside other ways: `make bench`, on a GPU `make gpu`."""
