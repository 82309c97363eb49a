"""Trained Caffe networks, made physically smaller, and shown to compute the same thing."""

from __future__ import annotations

__all__: list[str] = []
