"""What a value should have been, in words for whoever wrote it: of pydantic's errors, without loading pydantic."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

_WANTED: Final = {
    "int": "must be a whole number",
    "float": "must be a number",
    "decimal": "must be a number",
    "bool": "must be true or false",
    "string": 'must be text in quotes ("…")',
    "path": 'must be a path in quotes ("…")',
    "list": "must be a list in brackets ([…])",
    "tuple": "must be a list in brackets ([…])",
    "dict": "must be a table",
}


def wanted(error: Mapping[str, Any], value: object) -> str:
    """What one error of pydantic says was wanted; its own sentence where it is about a bound or a format."""
    kind = str(error["type"])
    if kind == "literal_error":
        known = [each.strip("' ") for each in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        near = difflib.get_close_matches(str(value), known, n=1)
        meant = f", did you mean {near[0]}?" if near else ""
        return f"must be {', '.join(known[:-1])} or {known[-1]}{meant}" if len(known) > 1 else f"must be {known[0]}"
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return _WANTED.get(kind.partition("_")[0], str(error["msg"]))
    return str(error["msg"])
