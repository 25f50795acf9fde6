"""`vllmd explain` on every kind of key."""

from __future__ import annotations

import pytest

from launcher.cli.explain import main
from launcher.errors import UsageError

AT = ("--vllm-version", "0.32.0")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("max_model_len", "max_model_len: an integer"),
        ("--max-model-len", "becomes --max-model-len"),
        ("gpu_ids", "in [instance.NAME.control]"),
        ("api_key", "reaches vLLM as VLLM_API_KEY"),
        ("swap_space", "'swap_space' was removed in vLLM 0.18"),
        ("VLLM_LOGGING_LEVEL", "an environment variable of vLLM's"),
        ("enable_prefix_caching", "false becomes --no-enable-prefix-caching"),
        ("extra_args", "in [instance.NAME.server]"),
        ("guest.image", "in [guest]"),
        ("preset", "latency: gpu_memory_utilization = 0.8, max_num_seqs = 1"),
    ],
)
def test_key_is_explained(key: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([key, *AT], {}) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("max_model_length", "did you mean 'max_model_len'?"),
        ("VLLM_LOGING_LEVEL", "did you mean 'VLLM_LOGGING_LEVEL'?"),
        ("bakground", "did you mean 'background'?"),
        ("device", "remove it: vLLM takes the device of the platform it was built for"),
    ],
)
def test_unknown_key_gets_the_nearest(key: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        main([key, *AT], {})
    assert caught.value.hint == hint
