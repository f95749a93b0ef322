"""Context encoders: networks that predict the content of a hole from its surroundings.

`config` imports no torch; the other modules do, and are imported by those who build a network: `build.build_network`,
`checkpoint.load_network`, `inference.encode_photos` and `inference.fill_photos`.
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
