"""The libraries of single kinds of sources: extras, loaded when such a source is first read and never before."""

import importlib
from types import ModuleType

from edge_agent.reading import SourceDown
from edge_agent.words import to_install


def library(module: str, extra: str) -> ModuleType:
    """The loaded library; raises SourceDown with what to install where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SourceDown(f"{error}: install what it needs with {to_install(extra)}") from error
