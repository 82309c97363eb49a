"""Matrices and kernels of low rank: how well each rank does, what it costs, and the layers that it makes."""
