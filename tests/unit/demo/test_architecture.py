from __future__ import annotations

from launcher.demo.architecture import (
    Architecture,
    plan_tensors,
    render_config,
    render_generation_config,
)
from launcher.record import replace


def test_config_names_a_llama_with_head_size_64() -> None:
    config = render_config(Architecture(), end_of_text=256)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] == 64
    assert config["max_position_embeddings"] == 2048


def test_tensors_have_the_shapes_that_the_config_asks_for() -> None:
    architecture = Architecture(hidden=8, intermediate=24, heads=4, kv_heads=2, head_dim=3)
    shapes = plan_tensors(replace(architecture, layers=1, vocabulary=10))
    layer = "model.layers.0"
    assert shapes["model.embed_tokens.weight"] == shapes["lm_head.weight"] == (10, 8)
    assert shapes[f"{layer}.self_attn.q_proj.weight"] == (12, 8)
    assert shapes[f"{layer}.self_attn.k_proj.weight"] == (6, 8)
    assert shapes[f"{layer}.self_attn.v_proj.weight"] == (6, 8)
    assert shapes[f"{layer}.self_attn.o_proj.weight"] == (8, 12)
    assert shapes[f"{layer}.mlp.down_proj.weight"] == (8, 24)


def test_tensors_are_nine_per_layer_and_three_more() -> None:
    assert len(plan_tensors(Architecture(layers=5))) == 5 * 9 + 3


def test_generation_config_leaves_sampling_to_the_server() -> None:
    assert set(render_generation_config(256)) == {"bos_token_id", "eos_token_id", "pad_token_id"}
