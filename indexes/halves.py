"""From float16 to float32, faster than numpy's own conversion, which goes number by number."""

import numpy as np

EXPONENT = np.float32(2.0**112)  # the biases of the two exponents, 127 and 15, differ by 112
SIGN_AND_REST = np.int32(-0x70002000)  # bits 31 and 13 to 27


def widen(halves: np.ndarray) -> np.ndarray:
    """Return finite float16 numbers of any shape as contiguous float32, exactly.

    The bits of a float16 (sign, 5 of exponent, 10 of mantissa) are moved to their places in a float32, and the product
    with a power of two moves the exponent's bias. It turns subnormal numbers into normal ones too.
    """
    bits = halves.view(np.int16).astype(np.int32, order="C")
    bits <<= 13
    bits &= SIGN_AND_REST  # the sign, extended to the left, stays in bit 31 alone
    wide = bits.view(np.float32)
    wide *= EXPONENT
    return wide
