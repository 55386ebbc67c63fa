"""The words around what was sealed, in the customer's language; the tables are `wording.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def languages() -> Mapping[str, Mapping[str, str]]:
    """Every language that documents speak, with its words."""
    text = resources.files("cloud_collector.invoice").joinpath("wording.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def language_of(locale: str | None) -> str:
    """The language of a locale such as `de_AT`, where documents speak it, else English."""
    language = (locale or "").partition("_")[0]
    return language if language in languages() else "en"
