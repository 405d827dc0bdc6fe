"""Numbers of the kernels' C ABI by their names there without DCG_; `tests/kernels/test_header.py` holds them to `kernels/include`."""

# enum dcg_error
INVALID_ARGUMENT, OUT_OF_MEMORY, UNSUPPORTED, INCONSISTENT = 1, 2, 4, 5

# enum dcg_cell
FLUID, SOLID, OPEN = 0, 1, 2

MODEL_FORMAT = 2

# enum dcg_cg_result
CG_CONVERGED, CG_MAXITER, CG_BREAKDOWN = 0, 1, 2

# the multilevel network's sizes, and the bounds of its learned numbers
LEVELS, SWEEPS, STENCIL_TYPES, FEATURES, HIDDEN, OUTPUTS = 8, 4, 16, 5, 8, 3
OMEGA_BELOW, FACTOR_SPREAD, ODDS_SPREAD, ROUGH = 1.5, 0.25, 0.5, 10.0

# enum dcg_level_vector
LEVEL_DIAGONAL, LEVEL_OMEGA_DINV, LEVEL_WEIGHT = 0, 1, 2
LEVEL_INTERP_PARENT, LEVEL_INTERP_NEIGHBOUR, LEVEL_VECTORS = 5, 11, 17

# of dcg_cuda_time
CUDA_COPY, CUDA_SWEEP, CUDA_CYCLE = 0, 1, 2

# enum dcg_reason
CONVERGED, ATTAINABLE, MAXITER, BREAKDOWN, STOPPED, STALLED = 0, 1, 2, 3, 4, 5

# enum dcg_method; the longest chain of them
COMPILED, CG, FLEXIBLE_CG, FCG, JACOBI_CG, FALLBACK_CG = 1, 2, 3, 4, 5, 6
CHAIN = 6

# iterations between evaluations of b - A x; earlier directions that FCG(m) keeps by default
CHECK_EVERY, WINDOW = 50, 32

# iterations over which a method's rate is measured; how many further ones it may promise where a fallback is to come
STALL, FURTHER = 30, 200

# of ||b||: a guess that leaves more is dropped; what rounding leaves of b outside the range of a singular A
WORST_GUESS, CONSISTENT = 1e8, 1e-12

# enum dcg_vector
RHS, GUESS = 0, 1
