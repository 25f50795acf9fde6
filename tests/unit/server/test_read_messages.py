"""Bad input: the whole message that a user sees."""

# ruff: noqa: E501  (a line of a message is one string)

from __future__ import annotations

import pytest

from tests.support.messages import messages

FILES = {
    "unknown timeout profile": (
        "[client]\ntimeout_profile = 'batch'\n",
        (
            "error: vllm.toml:2:19: expected one of 'default', 'streaming', 'ml_inference', 'batch_job', got 'batch'\n"
            "   2 | timeout_profile = 'batch'\n"
            "     |                   ^^^^^^^\n"
            "hint: did you mean 'batch_job'?"
        ),
    ),
    "unknown key in master": (
        "[master]\nenabel = false\n",
        (
            "error: vllm.toml:2:1: unknown key 'enabel' in [master]\n"
            "   2 | enabel = false\n"
            "     | ^^^^^^\n"
            "hint: did you mean 'enable'?"
        ),
    ),
    "unknown table in master": (
        "[master.evn]\nX = 1",
        (
            "error: vllm.toml:1:1: unknown key 'evn' in [master]\n"
            "   1 | [master.evn]\n"
            "     | ^^^^^^^^^^^^\n"
            "hint: did you mean 'env'?"
        ),
    ),
    "unknown key in control": (
        "[instance.demo.control]\nenabld = true\n",
        (
            "error: vllm.toml:2:1: unknown key 'enabld' in [instance.demo.control]\n"
            "   2 | enabld = true\n"
            "     | ^^^^^^\n"
            "hint: did you mean 'enabled'?"
        ),
    ),
    "unknown key in the global control": (
        "[instance.control]\nlog-dirs = '/x'\n",
        (
            "error: vllm.toml:2:1: unknown key 'log-dirs' in [instance.control]\n"
            "   2 | log-dirs = '/x'\n"
            "     | ^^^^^^^^\n"
            "hint: did you mean 'log_dir'?"
        ),
    ),
    "unknown key in an instance with a quoted name": (
        '[instance."qwen2.5".control]\nenabld = true',
        (
            "error: vllm.toml:2:1: unknown key 'enabld' in [instance.\"qwen2.5\".control]\n"
            "   2 | enabld = true\n"
            "     | ^^^^^^\n"
            "hint: did you mean 'enabled'?"
        ),
    ),
    "unknown key like no other": (
        "[instance.demo]\nzzz = 1\n",
        (
            "error: vllm.toml:2:1: unknown key 'zzz' in [instance.demo]\n"
            "   2 | zzz = 1\n"
            "     | ^^^\n"
            "hint: move it into [instance.demo.server]"
        ),
    ),
    "control key a table too high": (
        "[instance.demo]\ngpu_ids = 1\n",
        (
            "error: vllm.toml:2:1: unknown key 'gpu_ids' in [instance.demo]\n"
            "   2 | gpu_ids = 1\n"
            "     | ^^^^^^^\n"
            "hint: move it into [instance.demo.control]"
        ),
    ),
    "unknown table of an instance": (
        "[instance.demo.zzz]\n",
        (
            "error: vllm.toml:1:1: unknown key 'zzz' in [instance.demo]\n"
            "   1 | [instance.demo.zzz]\n"
            "     | ^^^^^^^^^^^^^^^^^^^\n"
            "hint: known here: cluster, control, env, kvbm, server"
        ),
    ),
    "unknown table": (
        "[instanc.demo]\n",
        (
            "error: vllm.toml:1:1: unknown key 'instanc'\n"
            "   1 | [instanc.demo]\n"
            "     | ^^^^^^^^^^^^^^\n"
            "hint: did you mean 'instance'?"
        ),
    ),
    "unknown table in an instance": (
        "[instance.demo]\nsever = {}\n",
        (
            "error: vllm.toml:2:1: unknown key 'sever' in [instance.demo]\n"
            "   2 | sever = {}\n"
            "     | ^^^^^\n"
            "hint: did you mean 'server'?"
        ),
    ),
    "an option where an instance belongs": (
        "[instance]\nport = 8000\n",
        (
            "error: vllm.toml:2:8: expected a table, the settings of one instance, got an integer\n"
            "   2 | port = 8000\n"
            "     |        ^^^^\n"
            "hint: write port in [instance.server] or [instance.NAME.server]"
        ),
    ),
    "instance is an integer": (
        "instance = 5",
        (
            "error: vllm.toml:1:12: expected a table, got an integer\n"
            "   1 | instance = 5\n"
            "     |            ^\n"
            "hint: write [instance]"
        ),
    ),
    "instance is an array of tables": (
        "[[instance]]\n",
        (
            "error: vllm.toml:1:1: expected a table, got an array\n"
            "   1 | [[instance]]\n"
            "     | ^^^^^^^^^^^^\n"
            "hint: write [instance]"
        ),
    ),
    "server is a string": (
        '[instance.demo]\nserver = "x"\n',
        (
            "error: vllm.toml:2:10: expected a table, got a string\n"
            '   2 | server = "x"\n'
            "     |          ^^^\n"
            "hint: write [instance.demo.server]"
        ),
    ),
    "a space in a name": (
        '[instance."my demo"]',
        (
            "error: vllm.toml:1:1: 'my demo' cannot name an instance\n"
            '   1 | [instance."my demo"]\n'
            "     | ^^^^^^^^^^^^^^^^^^^^\n"
            "hint: use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        ),
    ),
    "an empty name": (
        '[instance.""]',
        (
            "error: vllm.toml:1:1: '' cannot name an instance\n"
            '   1 | [instance.""]\n'
            "     | ^^^^^^^^^^^^^\n"
            "hint: use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        ),
    ),
    "a hyphen begins a name": (
        "[instance.-x]",
        (
            "error: vllm.toml:1:1: '-x' cannot name an instance\n"
            "   1 | [instance.-x]\n"
            "     | ^^^^^^^^^^^^^\n"
            "hint: use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        ),
    ),
    "a line end in a name": (
        '[instance."a\\nb"]',
        (
            "error: vllm.toml:1:1: 'a\\nb' cannot name an instance\n"
            '   1 | [instance."a\\nb"]\n'
            "     | ^^^^^^^^^^^^^^^^^\n"
            "hint: use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        ),
    ),
    "env for all instances": (
        "[instance.env]\nA='1'",
        (
            "error: vllm.toml:1:1: [instance.env] would be an instance called 'env'\n"
            "   1 | [instance.env]\n"
            "     | ^^^^^^^^^^^^^^\n"
            "hint: write [master.env] to set it for all instances"
        ),
    ),
    "extra_args is a string": (
        '[instance.demo.server]\nextra_args = "--x 1"\n',
        (
            "error: vllm.toml:2:14: expected an array of strings, got a string\n"
            '   2 | extra_args = "--x 1"\n'
            "     |              ^^^^^^^\n"
            'hint: write each word apart, like ["--max-num-seqs", "8"]'
        ),
    ),
    "extra_args holds an integer": (
        '[instance.demo.server]\nextra_args = ["--x", 1]\n',
        (
            "error: vllm.toml:2:22: expected an array of strings, got an integer in it\n"
            '   2 | extra_args = ["--x", 1]\n'
            "     |                      ^\n"
            "hint: put it in quotes"
        ),
    ),
    "extra_args holds a nul character": (
        '[instance.demo.server]\nextra_args = ["a\\u0000b"]\n',
        (
            "error: vllm.toml:2:15: a NUL character cannot be passed to a program\n"
            '   2 | extra_args = ["a\\u0000b"]\n'
            "     |               ^^^^^^^^^^\n"
            "hint: remove the NUL character"
        ),
    ),
    "extra_args holds a secret": (
        '[instance.demo.server]\nextra_args = ["--api-key", "sk-4f1d", 5]\n',
        (
            "error: vllm.toml:2:39: expected an array of strings, got an integer in it\n"
            '   2 | extra_args = ["--api-key", ***, 5]\n'
            "     |                                 ^\n"
            "hint: put it in quotes"
        ),
    ),
    "variables of bad names and types": (
        '[instance.demo.env]\n"1X" = "a"\nB = true\nC = []\n',
        (
            "error: vllm.toml:2:1: '1X' cannot name an environment variable\n"
            '   2 | "1X" = "a"\n'
            "     | ^^^^\n"
            "hint: use letters, digits and '_', not beginning with a digit\n"
            "error: vllm.toml:3:5: expected a string, got a boolean\n"
            "   3 | B = true\n"
            "     |     ^^^^\n"
            'hint: write "1", which vLLM reads so\n'
            "error: vllm.toml:4:5: expected a string, got an array\n"
            "   4 | C = []\n"
            "     |     ^^\n"
            "hint: write JSON into a string"
        ),
    ),
    "a secret variable of the wrong type": (
        '[instance.demo.env]\nHF_TOKEN = ["hf_x"]\n',
        (
            "error: vllm.toml:2:12: expected a string, got an array\n"
            "   2 | HF_TOKEN = ***\n"
            "     |            ^^^\n"
            "hint: write JSON into a string"
        ),
    ),
    "a module that is no name": (
        '[master]\napi_server_module = "my module"\n',
        (
            "error: vllm.toml:2:21: expected a module name, got 'my module'\n"
            '   2 | api_server_module = "my module"\n'
            "     |                     ^^^^^^^^^^^\n"
            "hint: write it like package.module"
        ),
    ),
    "an option in both spellings": (
        "[instance.demo.server]\nmax-model-len = 1\nmax_model_len = 2\n",
        (
            "error: vllm.toml:3:1: 'max_model_len' is set twice: 'max-model-len' is the same option\n"
            "   3 | max_model_len = 2\n"
            "     | ^^^^^^^^^^^^^\n"
            "hint: keep one of the two"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_configuration_bad_says_whole_message(text: str, message: str) -> None:
    assert messages(text) == message
