"""The OpenAPI document as an oracle: whatever the service answers must be in it."""

import re
from functools import cached_property
from typing import Any

from httpx2 import Response
from openapi_schema_validator import OAS31Validator, oas31_format_checker

Json = dict[str, Any]


class Documented:
    """Compares answers with a document."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def check(self, response: Response) -> None:
        """Fail unless the answer's status, headers, type, content and reason are documented for its operation.

        What is not in the document (health, the document itself, paths and methods that there are none of) passes.
        """
        operation = self._operation(response)
        if operation is None:
            return
        answers = operation["responses"]
        assert str(response.status_code) in answers, f"{response.status_code} is not documented: {response.text}"
        answer = answers[str(response.status_code)]
        self._check_headers(answer, response)
        reason = response.headers.get("x-face-reason", "")
        if response.status_code >= 400:
            assert re.search(rf"\b{reason}\b", answer["description"]), f"{reason} is not documented: {response.text}"
        if response.request.method != "HEAD":
            self._check_content(answer.get("content", {}), response)

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], Json]]:
        templates = self._document["paths"]
        return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), templates[path]) for path in templates]

    def _operation(self, response: Response) -> Json | None:
        path, method = response.request.url.path, response.request.method.lower().replace("head", "get")
        for pattern, operations in self._paths:
            if pattern.fullmatch(path) or pattern.fullmatch(path + "/"):
                operation: Json | None = operations.get(method)
                return operation
        return None

    def _check_headers(self, answer: Json, response: Response) -> None:
        for name in answer.get("headers", {}):
            told = self._document["components"]["headers"][name]
            if name in response.headers:
                self._validate(told["schema"], response.headers[name])
            else:
                assert not told.get("required"), f"{name} is missing"

    def _check_content(self, content: Json, response: Response) -> None:
        if not content:
            assert response.content == b"", "no content is documented"
            return
        media_type = response.headers["content-type"]
        assert media_type in content, f"{media_type} is not documented"
        if media_type.endswith("json"):
            self._validate(content[media_type]["schema"], response.json())

    def _validate(self, schema: Json, value: Any) -> None:
        whole = schema | {"components": self._document["components"]}
        OAS31Validator(whole, format_checker=oas31_format_checker).validate(value)
