"""Context encoders: networks that predict the content of a hole from its surroundings.

`config`, `shipped`, `kind_weights`, `network_fill` and what runs one or two photos in numpy (`plain*`) import no torch. The
modules that build and run networks in torch do: `build.build_network`, `checkpoint.load_network`, `inference.encode_photos`
and `inference.fill_photos`.
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
