"""Layers that pick rows, and those that only read."""

from __future__ import annotations

import torch

from demitasse.runtime.operation import Call

__all__ = ["batch_reindex", "filter_rows", "nothing"]


def filter_rows(call: Call) -> tuple[torch.Tensor, ...]:
    """Filter: the rows of each input for which the last input is not zero; possibly none."""
    *blobs, selector = call.inputs
    kept = torch.nonzero(selector.detach().reshape(-1)).reshape(-1)
    return tuple(blob.index_select(0, kept) for blob in blobs)


def batch_reindex(call: Call) -> torch.Tensor:
    """BatchReindex: rows by index. NetError for an index that is no row."""
    indices = call.inputs[1].detach().long()
    rows = call.x.shape[0]
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= rows):
        call.placed.refuse(f'"{call.placed.name(1)}" holds an index outside of 0 to {rows - 1}')
    return call.x.index_select(0, indices)


def nothing(call: Call) -> tuple[torch.Tensor, ...]:
    """Silence, and layers that write files (HDF5Output, MatWrite): what they would write is not written here."""
    return ()
