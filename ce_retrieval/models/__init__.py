"""Context encoders: networks that predict what is missing from what surrounds it.

`config` is light; the other modules import torch and are loaded by those who build a network:
`build.build_network`, `checkpoint.load_network`, `inference.encode_photos` and `inference.fill_photos`.
"""

from ce_retrieval.models.config import (
    ARCHITECTURES,
    CompactConfig,
    NetworkConfig,
    PaperCenterConfig,
    PaperRandomConfig,
    PaperRegionConfig,
    config_from_dict,
    config_to_dict,
)

__all__ = [
    "ARCHITECTURES",
    "CompactConfig",
    "NetworkConfig",
    "PaperCenterConfig",
    "PaperRandomConfig",
    "PaperRegionConfig",
    "config_from_dict",
    "config_to_dict",
]
