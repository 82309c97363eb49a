"""Caffe's training on PyTorch: solver files, data layers, snapshots."""
