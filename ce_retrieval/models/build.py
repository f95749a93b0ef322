"""From a configuration to its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

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

NETWORKS: dict[type[NetworkConfig], Callable[[Any], ContextEncoder]] = {
    CompactConfig: Compact,
    PaperCenterConfig: PaperCenter,
    PaperRandomConfig: PaperRandom,
    PaperRegionConfig: PaperRegion,
}


def build_network(config: NetworkConfig, *, seed: int = 0) -> ContextEncoder:
    """Build a network with initial weights drawn from `seed`: on the CPU, float32, in training mode.

    The process's random state does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[type(config)](config)
