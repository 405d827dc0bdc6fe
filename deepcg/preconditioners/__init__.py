"""Preconditioners of the Krylov iterations: the protocol, and all of them by name."""
