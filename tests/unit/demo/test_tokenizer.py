from __future__ import annotations

import json

from launcher.demo.tokenizer import (
    CHAT_TEMPLATE,
    END_OF_TEXT,
    END_OF_TEXT_ID,
    VOCABULARY_SIZE,
    byte_alphabet,
    render_tokenizer,
    render_tokenizer_config,
)


def vocabulary() -> dict[str, int]:
    model = render_tokenizer()["model"]
    assert isinstance(model, dict)
    return dict(model["vocab"])


def test_alphabet_has_one_character_for_each_byte() -> None:
    assert len(byte_alphabet()) == len(set(byte_alphabet())) == 256


def test_alphabet_writes_visible_bytes_as_themselves_and_hides_space() -> None:
    alphabet = byte_alphabet()
    assert (alphabet[ord("a")], alphabet[ord(" ")], alphabet[ord("\n")]) == (
        "a",
        "\u0120",
        "\u010a",
    )
    assert not any(character.isspace() for character in alphabet)


def test_vocabulary_gives_each_byte_its_own_value() -> None:
    tokens = vocabulary()
    assert [tokens[character] for character in byte_alphabet()] == list(range(256))


def test_vocabulary_ends_with_the_special_token() -> None:
    tokens = vocabulary()
    assert tokens[END_OF_TEXT] == END_OF_TEXT_ID
    assert sorted(tokens.values()) == list(range(VOCABULARY_SIZE))


def test_tokenizer_config_carries_the_chat_template() -> None:
    config = render_tokenizer_config(2048)
    assert config["chat_template"] == CHAT_TEMPLATE
    assert config["model_max_length"] == 2048


def test_tokenizer_is_json() -> None:
    assert json.loads(json.dumps(render_tokenizer())) == render_tokenizer()
