"""What GPUs can do at most: the divisor of MFU."""

import re

import torch

PEAK_TFLOPS: dict[str, float] = {
    # Blackwell, Hopper: NVIDIA's B200, GB200, H100, H200 and GH200 data sheets (half of the figures "with sparsity");
    # the H200 NVL has a column of its own on https://www.nvidia.com/en-us/data-center/h200/ (1,671 with sparsity)
    "GB200": 2500,
    "B200": 2250,
    "GH200": 989.4,
    "H200 NVL": 835.5,
    "H200": 989.4,
    "H100 NVL": 835.5,
    "H100 PCIe": 756.5,
    "H100": 989.4,
    # Ada: L40S, L40 and L4 data sheets; "NVIDIA Ada GPU architecture" white paper, appendices A and B
    "L40S": 362.05,
    "L40": 181.05,
    "L4": 121,
    "RTX 6000 Ada": 364.2,
    "RTX 4090": 165.2,
    # Ampere: A100, A800, A30, A40 and A10 data sheets; GA102 white paper, appendices A and B
    "A100": 312,
    "A800": 312,
    "A30": 165,
    "A40": 149.7,
    "A10": 125,
    "RTX A6000": 154.8,
    "RTX 3090": 71,
    # Volta and Turing, float16: V100 and T4 data sheets
    "V100-PCIE": 112,
    "V100S": 130,
    "V100": 125,
    "T4": 65,
}
"""Dense 16-bit tensor-core peak with float32 sums, in TFLOP/s, by a part of the name that CUDA gives the device. Where
the name fits several, the first counts."""

OTHERS = re.compile(r"\b(MIG|Laptop|Max-Q|Ti|SUPER|D)\b")
"""Words for a part of a GPU, or for another one of a similar name."""


def peak_flops(device: torch.device) -> float | None:
    """The device's 16-bit peak in FLOP/s, `None` where it is not known."""
    return named_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def named_peak(name: str) -> float | None:
    """The same of a device's name; a partition (MIG) or a variant of a GPU has no known peak."""
    if OTHERS.search(name):
        return None
    return next((1e12 * peak for part, peak in PEAK_TFLOPS.items() if re.search(rf"\b{part}\b", name)), None)
