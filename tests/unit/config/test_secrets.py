from __future__ import annotations

import pytest

from launcher.config.masking import find_secrets, mask_line
from launcher.config.secrets import is_secret_name

SECRETS = "api_key api-key hf_token HF_TOKEN HUGGING_FACE_HUB_TOKEN VLLM_API_KEY password"
OTHERS = "max_num_batched_tokens tokenizer ssl_keyfile key_cache model port skip_tokenizer_init"


@pytest.mark.parametrize("name", [*SECRETS.split(), "AWS_SECRET_ACCESS_KEY", '"HF_TOKEN"'])
def test_is_secret_name_of_a_secret_is_true(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_is_secret_name_of_another_option_is_false(name: str) -> None:
    assert not is_secret_name(name)


def _shown(text: str) -> str:
    spans, start, lines = find_secrets(text), 0, []
    for line in text.split("\n"):
        lines.append(mask_line(start, line, spans, 1)[0])
        start += len(line) + 1
    return "\n".join(lines)


MASKED = {
    'api_key = "sk-1"': "api_key = ***",
    'port = 1\napi_key = "sk-1"\nhost = "h"': 'port = 1\napi_key = ***\nhost = "h"',
    "env.HF_TOKEN='x' # c": "env.HF_TOKEN=***",
    '"api\\u005fkey" = "sk-1"': '"api\\u005fkey" = ***',
    's = { api_key = "sk-1", port = 1 }': "s = { api_key = ***, port = 1 }",
    "api_key = '''\nport = sk-1\n'''\nx = 1": "api_key = ***\n***\n***\nx = 1",
    'api_key = [\n  "sk-1",\n]\nx = 1': "api_key = ***\n***\n***\nx = 1",
    '[hf_token]\nvalue = "x"\n[b]\nc = 1': "[hf_token]\n***\n[b]\nc = 1",
    'a = ["--api-key", "sk-1", "b"]': 'a = ["--api-key", ***, "b"]',
    'a = ["--api-key=sk-1", "b"]': 'a = [***, "b"]',
    'a = ["x --api-key=sk-1", "b"]': 'a = [***, "b"]',
    'a = ["-y x --api-key sk-1", "b --api-key"]': 'a = [***, "b --api-key"]',
    'a = "the token of x" # see --api-key or x': 'a = "the token of x" # see --api-key or x',
    'a = 1 # api_key = "sk-1"': "a = 1 #***",
    'proxy = "http://me:pw@host"': "proxy = ***",
    'model = "/models/token-7b"': 'model = "/models/token-7b"',
    # Broken texts.
    'api_key = "sk-1': "api_key = ***",
    'api_key: "sk-1"': "api_key: ***",
    "api_key sk-1": "api_key ***",
    'api_key = """\nsk-1 \\q': "api_key = ***\n***",
    'api_key =\n"sk-1"\nx = 1': "api_key =\n***\nx = 1",
    '"api_key = "sk-1"': "***",
    'a = [1,\napi_key = "sk-1"': "a = [1,\napi_key = ***",
}


@pytest.mark.parametrize(("text", "shown"), MASKED.items())
def test_mask_line_hides_values_of_secrets_only(text: str, shown: str) -> None:
    assert _shown(text) == shown


def test_mask_line_column_behind_a_secret_moves_with_it() -> None:
    text = 's = { api_key = "sk-123456", port = "x" }'
    line, column = mask_line(0, text, find_secrets(text), text.index('"x"') + 1)
    assert line[column - 1 :] == '"x" }'


def test_mask_line_column_inside_a_secret_is_at_the_mask() -> None:
    text = 'api_key = "sk-123456"'
    line, column = mask_line(0, text, find_secrets(text), 15)
    assert (line, column) == ("api_key = ***", 11)
