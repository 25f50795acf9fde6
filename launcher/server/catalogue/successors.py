"""What to write instead of an option that vLLM no longer has.

Each was looked up in the sources of the release named beside it: the last one that had the option
(what it said about it), or the first one without. In which release an option went is not repeated
here: the catalogue knows; `BEFORE_FIRST` holds those that went before its first release.
"""

from __future__ import annotations

from launcher.record import record


@record
class Successor:
    """`use` is what to write in the TOML file; empty: nothing took its place. `why` is for then.

    `sample` is the part of `use` in whose place the user's own value goes.
    """

    use: str = ""
    why: str = ""
    sample: str = ""


SUCCESSORS: dict[str, Successor] = {
    # 0.11.2 engine/arg_utils.py: "[DEPRECATED] --guided-decoding-backend will be removed in
    # v0.12.0"; it sets the fields of config/structured_outputs.py.
    "guided_decoding_backend": Successor(
        use='structured_outputs_config = { backend = "auto" }',
        sample='"auto"',
    ),
    # Same place; config/structured_outputs.py has the field up to 0.17.1.
    "guided_decoding_disable_fallback": Successor(
        why="structured_outputs_config has a 'disable_fallback' up to 0.17, and nothing after",
    ),
    "guided_decoding_disable_any_whitespace": Successor(
        use="structured_outputs_config = { disable_any_whitespace = true }",
    ),
    "guided_decoding_disable_additional_properties": Successor(
        use="structured_outputs_config = { disable_additional_properties = true }",
    ),
    # 0.17.1 config/cache.py: the only use left is a check of the size; 0.18.0 has no field.
    "swap_space": Successor(
        why="vLLM no longer swaps requests to CPU memory",
    ),
    # 0.11.2 config/lora.py: "Additional vocabulary support for LoRA adapters is being phased out".
    "lora_extra_vocab_size": Successor(why="LoRA adapters can no longer add to the vocabulary"),
    # 0.11.0 config/lora.py warns that it is deprecated; 0.11.1 has no field.
    "enable_lora_bias": Successor(why="LoRA adapters with a bias are no longer supported"),
    # 0.16.0 engine/arg_utils.py AsyncEngineArgs: the default became `not enable_log_requests`.
    # Since 0.33.0 (utils/argparse_utils.py, EnableDisableAction) the flag exists once more.
    "disable_log_requests": Successor(
        use="enable_log_requests = false",
        why="requests are not logged unless asked for",
    ),
    # 0.8.5 engine/arg_utils.py has neither, and fields of these names in config.SpeculativeConfig.
    "speculative_model": Successor(
        use='speculative_config = { model = "...", num_speculative_tokens = 5 }',
        sample='"..."',
    ),
    "num_speculative_tokens": Successor(
        use='speculative_config = { model = "...", num_speculative_tokens = 5 }',
    ),
    # 0.9.2 engine/arg_utils.py: deprecated; 0.10.0 has no flag, the platform decides.
    "device": Successor(why="vLLM takes the device of the platform it was built for"),
    # 0.10.2 config/__init__.py; 0.11.0 has no field. It bounded encoder-decoder models in V0.
    "max_seq_len_to_capture": Successor(
        use="compilation_config = { cudagraph_capture_sizes = [1, 2, 4, 8] }",
        why="CUDA graphs are now bounded by batch size, not by sequence length",
    ),
    # 0.9.2 engine/arg_utils.py: "block manager v1 has been removed", no effect; not in 0.10.0.
    "use_v2_block_manager": Successor(why="it had no effect"),
    # 0.10.0 has the flag (multi-step scheduling of V0), 0.10.1 does not.
    "num_scheduler_steps": Successor(why="the V1 engine has no multi-step scheduling"),
    "multi_step_stream_outputs": Successor(why="the V1 engine has no multi-step scheduling"),
    # 0.10.2 engine/arg_utils.py falls back to the V0 engine for these three; 0.11.0 has neither.
    "preemption_mode": Successor(why="the V1 engine does not support it"),
    "scheduler_delay_factor": Successor(why="the V1 engine does not support it"),
    "disable_async_output_proc": Successor(why="the V1 engine does not support it"),
    # 0.10.1 config/__init__.py: "only supported on Neuron"; 0.10.2 has no platforms/neuron.py.
    "override_neuron_config": Successor(why="vLLM itself no longer supports Neuron"),
    # 0.11.0 config/model.py: "Please instead use `--hf-overrides`". Transformers 5, and vLLM with
    # it (0.32.0 transformers_utils/config.py), calls both together `rope_parameters`.
    "rope_scaling": Successor(
        use='hf_overrides = { rope_scaling = { rope_type = "yarn", factor = 4.0 } }',
        why="with Transformers 5: rope_parameters",
    ),
    "rope_theta": Successor(
        use="hf_overrides = { rope_theta = 1000000.0 }",
        why="with Transformers 5: inside rope_parameters",
    ),
    # 0.9.2 engine/arg_utils.py: deprecated, `reasoning_parser` alone does it; not in 0.10.0.
    "enable_reasoning": Successor(use='reasoning_parser = "..."'),
    # In 0.10.1, not in 0.10.2.
    "enable_prompt_adapter": Successor(why="prompt adapters are no longer supported"),
    # In 0.9.2, not in 0.10.0.
    "tokenizer_pool_size": Successor(why="vLLM has no pool of tokenizers any more"),
    # 0.11.2 engine/arg_utils.py: "--num-redundant-experts will be removed in v0.12.0", and so on;
    # the fields of config/parallel.py EPLBConfig.
    "num_redundant_experts": Successor(
        use="eplb_config = { num_redundant_experts = 0 }", sample="0"
    ),
    "eplb_window_size": Successor(use="eplb_config = { window_size = 1000 }", sample="1000"),
    "eplb_step_interval": Successor(use="eplb_config = { step_interval = 3000 }", sample="3000"),
    "eplb_log_balancedness": Successor(
        use="eplb_config = { log_balancedness = true }", sample="true"
    ),
    # 0.11.2 config/scheduler.py: "this will be replaced by speculative config".
    "num_lookahead_slots": Successor(
        use='speculative_config = { model = "...", num_speculative_tokens = 5 }',
    ),
    # 0.11.2 config/model.py: "[DEPRECATED] Use `pooler_config` instead".
    "override_pooler_config": Successor(use="pooler_config = {}"),
    # 0.12.0 engine/arg_utils.py: use cudagraph_capture_sizes, removed in v0.13.0.
    "cuda_graph_sizes": Successor(
        use="cudagraph_capture_sizes = [1, 2, 4, 8]", sample="[1, 2, 4, 8]"
    ),
    # 0.12.0 engine/arg_utils.py: "Please use `--mm-processor-cache-gb 0` instead".
    "disable_mm_preprocessor_cache": Successor(use="mm_processor_cache_gb = 0"),
    # 0.12.0 engine/arg_utils.py: "Please use `--mm-encoder-tp-mode data` instead".
    "enable_multimodal_encoder_data_parallel": Successor(use='mm_encoder_tp_mode = "data"'),
    # 0.12.0 config/model.py: "Please replace this option with `--runner`", `--convert`.
    "task": Successor(use='runner = "pooling" (and convert = "embed" or "classify")'),
    # 0.17.1 entrypoints/openai/cli_args.py; 0.20.0 describes `enable_flash_late_interaction` in the
    # same words. 0.18 and 0.19 have neither.
    "use_gpu_for_pooling_score": Successor(
        use="enable_flash_late_interaction = true",
        why="it is on by default since 0.20",
    ),
    # 0.27.1 config/cache.py: "The scales will be loaded from the model checkpoint if available".
    "calculate_kv_scales": Successor(why="scales come from the checkpoint, else they are 1.0"),
    # 0.26.0 config/scheduler.py; 0.27.0 has no field.
    "max_num_partial_prefills": Successor(why="several partial prefills at once are gone"),
    "max_long_partial_prefills": Successor(why="several partial prefills at once are gone"),
}

# Not in the catalogue's first release (0.11.0), but in older ones, as said above.
BEFORE_FIRST = frozenset(
    {
        "device",
        "disable_async_output_proc",
        "enable_prompt_adapter",
        "enable_reasoning",
        "max_seq_len_to_capture",
        "multi_step_stream_outputs",
        "num_scheduler_steps",
        "num_speculative_tokens",
        "override_neuron_config",
        "preemption_mode",
        "scheduler_delay_factor",
        "speculative_model",
        "tokenizer_pool_size",
        "use_v2_block_manager",
    }
)
