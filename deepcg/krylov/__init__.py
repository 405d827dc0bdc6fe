"""The Krylov iterations: the stopping rule, conjugate gradients, conjugate directions, the report."""
