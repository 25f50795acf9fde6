"""Random weights in bfloat16, and the safetensors file that holds them.

A safetensors file is: the header's length (8 bytes, little endian), the header (JSON: name ->
dtype, shape, begin and end of the data), then the data of all tensors without gaps. The header is
padded with spaces, so that the data begins at a multiple of 8.

The weights come from SHAKE-256 of seed and tensor name instead of a random generator: the same
bytes in every Python version, and a tensor does not change when another one is added.
"""

from __future__ import annotations

import hashlib
import json
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.demo.architecture import Shape

BYTES_PER_WEIGHT = 2
_ALIGNMENT = 8

# The upper byte of a bfloat16 is the sign and seven bits of the exponent. These four give
# magnitudes from 2**-7 to 2**-3, both signs: about 1 / sqrt(inputs) for a hundred inputs.
_UPPER_BYTES = bytes((0x3C, 0x3D, 0xBC, 0xBD))
_TO_UPPER_BYTE = bytes(_UPPER_BYTES[byte % len(_UPPER_BYTES)] for byte in range(256))

_ONE = b"\x80\x3f"
_SIXTEEN = b"\x80\x41"

# The only tokens that the model ever says: lower-case letters and the space. All other rows of
# the output matrix are zero, and the last norm is large: a letter always wins. So an answer is
# readable text, never broken UTF-8, and it ends at `max_tokens`.
SPOKEN = frozenset(b"abcdefghijklmnopqrstuvwxyz ")


def random_weights(name: str, count: int, seed: int) -> bytes:
    """Return `count` bfloat16 numbers between 2**-7 and 2**-3 in size, little endian."""
    noise = hashlib.shake_256(f"{seed}:{name}".encode()).digest(BYTES_PER_WEIGHT * count)
    weights = bytearray(noise)
    weights[1::2] = noise[1::2].translate(_TO_UPPER_BYTE)
    return bytes(weights)


def tensor_data(name: str, shape: Shape, seed: int) -> bytes:
    """Return the data of one tensor of the model, row by row."""
    count = math.prod(shape)
    if name == "model.norm.weight":
        return _SIXTEEN * count
    if name.endswith("norm.weight"):
        return _ONE * count
    data = random_weights(name, count, seed)
    return _silence_rows(data, shape) if name == "lm_head.weight" else data


def _silence_rows(data: bytes, shape: Shape) -> bytes:
    rows, width = shape[0], BYTES_PER_WEIGHT * shape[1]
    return b"".join(
        data[row * width : (row + 1) * width] if row in SPOKEN else bytes(width)
        for row in range(rows)
    )


def render_safetensors(tensors: Mapping[str, Shape], seed: int) -> bytes:
    """Return the whole `model.safetensors` file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blocks: list[bytes] = []
    end = 0
    for name, shape in tensors.items():
        block = tensor_data(name, shape, seed)
        begin, end = end, end + len(block)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
        blocks.append(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + b"".join(blocks)
