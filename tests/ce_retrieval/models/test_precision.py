"""bfloat16 is used where a device has it in hardware, and nowhere else."""

import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.models import inference  # noqa: E402
from ce_retrieval.models.precision import has_bfloat16  # noqa: E402


@pytest.mark.parametrize(
    ("capabilities", "there"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({"avx512_f": True, "cpu_name": "bf16"}, False),
        ({}, False),
    ],
)
def test_the_cpu_is_asked(monkeypatch, capabilities, there):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bfloat16.__wrapped__("cpu") == there


def test_the_gpu_is_asked_for_more_than_emulation(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: asked.append(options) or True)
    assert has_bfloat16.__wrapped__("cuda") and asked == [{"including_emulation": False}]
    assert not has_bfloat16.__wrapped__("meta")


def test_a_network_follows(monkeypatch):
    network = torch.nn.Linear(1, 1)
    for there in (False, True):
        monkeypatch.setattr(inference, "has_bfloat16", lambda _, there=there: there)
        for fast in (False, True):
            with inference._autocast(network, fast):
                assert torch.is_autocast_enabled("cpu") == (there and fast)
