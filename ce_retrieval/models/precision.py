"""Where bfloat16 is fast."""

from __future__ import annotations

from functools import cache

import torch


@cache
def has_bfloat16(device_type: str) -> bool:
    """Return whether a kind of device ("cpu", "cuda") multiplies bfloat16 in hardware.

    Elsewhere torch emulates it, and the convolutions of the network that ships take several times as long as in float32.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu":
        return False
    # avx512_bf16, amx_bf16, on ARM bf16; a torch that cannot tell gets float32.
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(there) for name, there in found.items() if name.endswith("bf16"))
