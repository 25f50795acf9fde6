from __future__ import annotations

import json
import math
import struct

from launcher.demo.weights import SPOKEN, random_weights, render_safetensors, tensor_data

SHAPES = {"a": (3, 5), "norm.weight": (7,), "b": (2, 2)}


def read_header(content: bytes) -> tuple[dict[str, dict[str, object]], bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def to_floats(bfloat16: bytes) -> list[float]:
    """A bfloat16 is the upper half of a float32."""
    halves = (bfloat16[at : at + 2] for at in range(0, len(bfloat16), 2))
    return [struct.unpack("<f", b"\0\0" + half)[0] for half in halves]


def test_header_offsets_cover_the_data_without_gaps() -> None:
    header, data = read_header(render_safetensors(SHAPES, seed=0))
    assert header.pop("__metadata__") == {"format": "pt"}
    assert [entry["data_offsets"] for entry in header.values()] == [[0, 30], [30, 44], [44, 52]]
    assert len(data) == 52


def test_header_gives_shapes_in_order() -> None:
    header, _ = read_header(render_safetensors(SHAPES, seed=0))
    del header["__metadata__"]
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == SHAPES  # type: ignore[arg-type]
    assert {entry["dtype"] for entry in header.values()} == {"BF16"}


def test_header_is_padded_to_eight_bytes() -> None:
    for extra in range(8):
        content = render_safetensors({"x" * (extra + 1): (1,)}, seed=0)
        assert struct.unpack("<Q", content[:8])[0] % 8 == 0


def test_weights_are_small_and_of_both_signs() -> None:
    values = to_floats(random_weights("x", 4096, seed=0))
    assert all(2**-7 <= abs(value) < 2**-3 for value in values)
    assert abs(math.fsum(values) / len(values)) < 0.005


def test_weights_depend_on_name_and_seed_alone() -> None:
    first = random_weights("x", 100, seed=0)
    assert first == random_weights("x", 100, seed=0)
    assert first != random_weights("y", 100, seed=0)
    assert first != random_weights("x", 100, seed=1)


def test_norms_are_ones_and_the_last_one_is_sixteen() -> None:
    assert to_floats(tensor_data("input_layernorm.weight", (2,), 0)) == [1.0, 1.0]
    assert to_floats(tensor_data("model.norm.weight", (2,), 0)) == [16.0, 16.0]


def test_output_matrix_speaks_letters_and_space_only() -> None:
    data = tensor_data("lm_head.weight", (257, 4), 0)
    rows = [data[8 * row : 8 * row + 8] for row in range(257)]
    assert {row for row, content in enumerate(rows) if any(content)} == SPOKEN
