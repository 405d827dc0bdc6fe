"""The multilevel network: its parameters and model files, its kernels on the CPU and on a GPU."""
