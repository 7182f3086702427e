"""One given value → the type its setting has, or one sentence that says what was expected.

Types and bounds come from the settings' annotations, through msgspec: strictly from the file and the flags,
from text where the source is the environment (numbers as digits, lists separated by commas). A path is taken
from the folder of the file that names it. A value never shows in a message.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Literal, get_args, get_origin

import msgspec

from trio_bridge.config.sources import Given
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret


def convert(given: Given, info: msgspec.structs.FieldInfo) -> Any:
    """The value of one setting.

    Raises:
        ConfigError: wrong type, out of its bounds, or a secret in a place that others can read.
    """
    if holds_secret(info) and given.public:
        raise ConfigError(
            f"{given.place}: a secret does not belong here: use {info.name}_file, or the environment"
        )
    value = given.value
    if given.is_text and _is_list(info):
        value = [part.strip() for part in value.split(",")]
    if any(_has_control_characters(text) for text in (value if isinstance(value, list) else [value])):
        raise ConfigError(f"{given.place}: holds a control character or is not UTF-8")

    def build(kind: type, raw: object) -> object:
        if not isinstance(raw, str) or not raw:
            raise ConfigError(f"{given.place}: expected a text that is not empty")
        return Secret(raw) if kind is Secret else (given.folder / raw).absolute()

    try:
        return msgspec.convert(value, info.type, strict=not given.is_text, dec_hook=build)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{given.place}: {_expectation(info, error)}") from None


def holds_secret(info: msgspec.structs.FieldInfo) -> bool:
    """Whether the setting is a secret."""
    return Secret in get_args(info.type)


def _is_list(info: msgspec.structs.FieldInfo) -> bool:
    kind = msgspec.inspect.type_info(info.type)
    choices = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(choice, msgspec.inspect.VarTupleType) for choice in choices)


def _has_control_characters(value: object) -> bool:
    return isinstance(value, str) and any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value)


def _expectation(info: msgspec.structs.FieldInfo, error: msgspec.ValidationError) -> str:
    # msgspec repeats a wrong choice, and any value may be a secret in the wrong place.
    if get_origin(info.type) is Literal:
        return f"expected one of {', '.join(get_args(info.type))}"
    sentence = str(error).replace("`", "")
    return sentence[0].lower() + sentence[1:]
