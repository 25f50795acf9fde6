"""The demo model's tokenizer: every byte is one token, and a token's id is the byte's value.

So any text can be encoded, and a prompt has as many tokens as it has bytes. `tokenizer.json` is
the format of Hugging Face tokenizers; a byte-level vocabulary writes bytes as visible characters,
by the table that GPT-2 introduced.
"""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 256
VOCABULARY_SIZE = 257

# One line per message, "role: text". Role markers need no tokens of their own.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def byte_alphabet() -> tuple[str, ...]:
    """Return the visible character for each byte: printable Latin-1 as is, the rest from U+0100."""
    visible = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return tuple(
        chr(byte) if byte in visible else chr(0x100 + hidden.index(byte)) for byte in range(256)
    )


def render_tokenizer() -> dict[str, object]:
    """Return `tokenizer.json`: byte-level BPE without merges."""
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,  # splitting at words would matter only if there were merges
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special_token()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": _bpe_model(),
    }


def render_tokenizer_config(max_length: int) -> dict[str, object]:
    """Return `tokenizer_config.json`; `max_length` is in tokens."""
    return {
        "bos_token": END_OF_TEXT,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TEXT,
        "model_max_length": max_length,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def _special_token() -> dict[str, object]:
    return {
        "id": END_OF_TEXT_ID,
        "content": END_OF_TEXT,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _bpe_model() -> dict[str, object]:
    vocabulary = {character: byte for byte, character in enumerate(byte_alphabet())}
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {**vocabulary, END_OF_TEXT: END_OF_TEXT_ID},
        "merges": [],
    }
