"""Training of context encoders: losses, holes, augmentation, and a trainer whose resumed runs end bit-identical.

`config`, `presets` and packing (`packed*`, `packing`) are light; the other modules import torch.
"""

from ce_retrieval.training.config import MASKS, Schedule, TrainConfig
from ce_retrieval.training.packed import PackedPhotos
from ce_retrieval.training.packing import open_photos, pack_photos
from ce_retrieval.training.presets import PRESETS, changed, preset_config

__all__ = [
    "MASKS",
    "PRESETS",
    "PackedPhotos",
    "Schedule",
    "TrainConfig",
    "changed",
    "open_photos",
    "pack_photos",
    "preset_config",
]
