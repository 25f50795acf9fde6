from __future__ import annotations

from launcher.config.document import parse_toml
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.server.read import read_config
from launcher.server.spelling import fold_documents, option_name

FILE = Origin(kind="file", name="vllm.toml")


def _options(toml: str, overrides: str = "{}") -> dict[str, object]:
    config = read_config((parse_toml(toml, FILE), parse_overrides(overrides)))
    assert config.problems == ()
    return {option.name: option.value for option in config.instances[0].options}


def test_option_name_has_underscores() -> None:
    assert option_name("max-model-len") == "max_model_len"


def test_fold_documents_override_in_other_spelling_wins() -> None:
    overrides = '{"instance": {"a": {"server": {"max-model-len": 2}}}}'
    assert _options("[instance.a.server]\nmax_model_len = 1", overrides) == {"max_model_len": 2}


def test_fold_documents_null_in_other_spelling_removes() -> None:
    overrides = '{"instance": {"server": {"max_model_len": null}}}'
    toml = "[instance.server]\nmax-model-len = 1\n[instance.a]\n"
    assert _options(toml, overrides) == {}


def test_fold_documents_hyphens_outside_of_server_stay() -> None:
    toml = "[instance.a-b.server]\nx-y = {p-q = 1}\n[instance.a-b.env]\nA_B = '1'\n"
    (document,), problems = fold_documents((parse_toml(toml, FILE),))
    table = {"server": {"x_y": {"p-q": 1}}, "env": {"A_B": "1"}}
    assert (document.data, problems) == ({"instance": {"a-b": table}}, [])


def test_fold_documents_without_hyphens_are_the_same_objects() -> None:
    documents = (parse_toml("[instance.a.server]\nx_y = 1", FILE),)
    assert fold_documents(documents)[0][0] is documents[0]
