"""What proposes the directions of the Krylov iterations: the protocol, and preconditioners by name."""
