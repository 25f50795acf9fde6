"""The shape of the demo model: the smallest Llama that vLLM serves on a CPU.

Names of configuration keys and tensors are those of the Llama architecture in Hugging Face
transformers. vLLM's CPU attention supports a few head sizes only; 64 is one of them.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = tuple[int, ...]


@record
class Architecture:
    """Dimensions of a Llama model; all are counts of elements, `rope_theta` is a base."""

    vocabulary: int = 257
    hidden: int = 128
    intermediate: int = 256
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 64
    max_positions: int = 2048
    rope_theta: float = 10000.0


def render_config(architecture: Architecture, end_of_text: int) -> dict[str, object]:
    """Return `config.json`: what vLLM reads first to choose the model class and its sizes."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": end_of_text,
        "dtype": "bfloat16",
        "eos_token_id": end_of_text,
        "head_dim": architecture.head_dim,
        "hidden_act": "silu",
        "hidden_size": architecture.hidden,
        "initializer_range": 0.02,
        "intermediate_size": architecture.intermediate,
        "max_position_embeddings": architecture.max_positions,
        "mlp_bias": False,
        "num_attention_heads": architecture.heads,
        "num_hidden_layers": architecture.layers,
        "num_key_value_heads": architecture.kv_heads,
        "rms_norm_eps": 1e-05,
        "rope_theta": architecture.rope_theta,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": architecture.vocabulary,
    }


def render_generation_config(end_of_text: int) -> dict[str, object]:
    """Return `generation_config.json`: only the token ids, so that vLLM's own sampling holds."""
    return {"bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": end_of_text}


def plan_tensors(architecture: Architecture) -> Mapping[str, Shape]:
    """Return the shape of every tensor, matrices as (output, input), in the order of the file."""
    vocabulary, hidden = architecture.vocabulary, architecture.hidden
    tensors: dict[str, Shape] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(architecture.layers):
        for name, shape in _layer_tensors(architecture).items():
            tensors[f"model.layers.{layer}.{name}.weight"] = shape
    tensors["model.norm.weight"] = (hidden,)
    tensors["lm_head.weight"] = (vocabulary, hidden)
    return tensors


def _layer_tensors(architecture: Architecture) -> Mapping[str, Shape]:
    hidden, intermediate = architecture.hidden, architecture.intermediate
    queries = architecture.heads * architecture.head_dim
    keys = architecture.kv_heads * architecture.head_dim
    return {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "mlp.down_proj": (hidden, intermediate),
    }
