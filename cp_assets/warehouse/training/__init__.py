"""Training on crops: batches of pixels of one size, straight from the warehouse's files.

numpy alone, and the same batches as a PyTorch ``IterableDataset`` where torch is installed.
"""

from __future__ import annotations

from cp_assets.warehouse.training.batches import CropBatch, CropBatches, open_crops
from cp_assets.warehouse.training.options import CropOptions

__all__ = ["CropBatch", "CropBatches", "CropOptions", "open_crops"]
