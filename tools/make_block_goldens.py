#!/usr/bin/env python3
"""Writes tests/golden/blocks/<type>.bin: random blocks of a GGUF type and what they mean.

Each file: the bytes of the blocks, then their values as float32, by the dequantizers of the gguf
package (https://pypi.org/project/gguf/), which follow ggml's C code. Needs: pip install gguf.

  python3 tools/make_block_goldens.py tests/golden/blocks
"""

import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# Byte offsets of the IEEE halves of a block: they must be finite, all other bytes are free.
HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}
VALUES_PER_FILE = 512


def random_blocks(generator, type_name):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    blocks = generator.integers(0, 256, (VALUES_PER_FILE // elements, size), dtype=np.uint8)
    for offset in HALVES[type_name]:
        high = blocks[:, offset + 1]
        high[(high & 0x7C) == 0x7C] &= 0xBF  # neither infinity nor NaN
    return blocks


def main():
    folder = pathlib.Path(sys.argv[1])
    generator = np.random.default_rng(20240601)
    for type_name in HALVES:
        blocks = random_blocks(generator, type_name)
        values = dequantize(blocks, GGMLQuantizationType[type_name]).astype("<f4")
        assert values.size == VALUES_PER_FILE and np.isfinite(values).all()
        (folder / f"{type_name.lower()}.bin").write_bytes(blocks.tobytes() + values.tobytes())


if __name__ == "__main__":
    main()
