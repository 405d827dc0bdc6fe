"""The discrete problem: cells, face weights, the operator, its null space, vectors, `Poisson`."""
