"""The multilevel network's definition in PyTorch."""
