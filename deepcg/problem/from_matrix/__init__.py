"""A problem read from a sparse matrix."""
