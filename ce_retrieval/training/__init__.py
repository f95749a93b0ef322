"""Training of context encoders: losses, holes, augmentation, and a trainer that resumes exactly.

`config` and `packing` are light; the other modules import torch.
"""

from ce_retrieval.training.config import MASKS, PRESETS, TrainConfig, changed, preset_config
from ce_retrieval.training.packing import PackedPhotos, open_photos, pack_photos

__all__ = ["MASKS", "PRESETS", "PackedPhotos", "TrainConfig", "changed", "open_photos", "pack_photos", "preset_config"]
