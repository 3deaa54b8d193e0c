"""Time and memory of the engine and of other methods: `make bench`, on a GPU `make gpu`."""
