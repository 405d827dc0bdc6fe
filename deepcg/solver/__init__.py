"""`deepcg.Solver`: a problem, a preconditioner and a Krylov iteration put together."""
