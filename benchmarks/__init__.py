"""What the engine costs beside what people use instead: `make bench`, on a GPU `make gpu`."""
