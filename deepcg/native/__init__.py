"""The compiled kernels: the libraries opened, their functions, arrays on a GPU."""
