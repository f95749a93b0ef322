"""From a configuration to its network."""

from __future__ import annotations

import torch

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.compact import Compact
from ce_retrieval.models.config import (
    CompactConfig,
    NetworkConfig,
    PaperCenterConfig,
    PaperRandomConfig,
    PaperRegionConfig,
)
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.paper_center import PaperCenter, PaperRandom
from ce_retrieval.models.paper_region import PaperRegion


def build_network(config: NetworkConfig, *, seed: int = 0) -> ContextEncoder:
    """The network of `config`, freshly initialised from `seed`, on the CPU, float32, in training mode.

    The process's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match config:
            case PaperCenterConfig():
                return PaperCenter(config)
            case PaperRandomConfig():
                return PaperRandom(config)
            case PaperRegionConfig():
                return PaperRegion(config)
            case CompactConfig():
                return Compact(config)
    raise CheckpointError(f"no network is known for {type(config).__name__}")
