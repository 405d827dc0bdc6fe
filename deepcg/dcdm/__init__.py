"""The network of Kaneda et al. 2023, its model files and its use as a preconditioner."""
