"""The OpenAPI document, as FastAPI derives it from the routes, put right where it knows less than we do."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from cloud_collector.web.api.problem import MEDIA_TYPE


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What answers in place of the application's own `openapi`: refusals are problems and nothing else."""
    derive = app.openapi

    def document() -> dict[str, Any]:
        told = derive()
        for methods in told["paths"].values():
            for operation in methods.values():
                for answer in operation["responses"].values():
                    content = answer.get("content", {})
                    if MEDIA_TYPE in content:
                        content.pop("application/json", None)
        return told

    return document
