"""The part of the Confluent schema registry's HTTP API that clients use.

``python -m infra.embedded.registry_http --bootstrap-servers S --port P``. Avro only, without references between schemas, contexts,
rules and metadata. Errors have the API's numbers: ``{"error_code": 40401, "message": ...}``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.embedded.registry_store import Registered, RegistryError, SchemaLog, Store

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
LARGEST_REQUEST = 1024 * 1024


class Call:
    """One request with its body read: what a handler looks at."""

    def __init__(self, request: Request, body: bytes):
        self.path = request.path_params
        self._query = request.query_params
        self._body = body

    def flag(self, name: str) -> bool:
        return self._query.get(name, "").lower() == "true"

    def text(self, name: str, default: str = "") -> str:
        return self._query.get(name, default)

    @property
    def subject(self) -> str | None:
        return self.path.get("subject")

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self._body)
        except ValueError as error:
            raise RegistryError(400, f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise RegistryError(400, "The body is not a JSON object")
        return value

    def schema(self) -> str:
        """The schema in the body. Raises RegistryError 42201 for what this registry cannot hold."""
        body = self.json()
        if body.get("schemaType", "AVRO") not in ("AVRO", None):
            raise RegistryError(42201, f"Invalid schema type {body['schemaType']}: this registry holds Avro only")
        if body.get("references"):
            raise RegistryError(42201, "This registry holds schemas without references only")
        return body.get("schema")  # type: ignore[return-value]  # anything but a text is refused where it is parsed


def number(text: str) -> int:
    if not text.isdigit():
        raise RegistryError(40403, f"Schema {text} not found")
    return int(text)


def full(registered: Registered) -> dict[str, Any]:
    return {
        "subject": registered.subject,
        "version": registered.version,
        "id": registered.id,
        "guid": registered.guid,
        "schemaType": "AVRO",
        "schema": registered.schema,
    }


def application(store: Store) -> Starlette:
    """The API over a store. Handlers run in threads: registering waits for the broker."""
    routes: list[Route] = []

    def route(method: str, path: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
        def add(handler: Callable[[Call], Any]) -> Callable[[Call], Any]:
            routes.append(Route(path, _endpoint(handler), methods=[method]))
            return handler

        return add

    @route("GET", "/")
    def root(call: Call) -> Any:
        return {}

    @route("GET", "/schemas/types")
    def types(call: Call) -> Any:
        return ["AVRO"]

    @route("GET", "/contexts")
    def contexts(call: Call) -> Any:
        return ["."]

    @route("GET", "/schemas")
    def schemas(call: Call) -> Any:
        deleted = call.flag("deleted")
        every = [v for s in store.subjects(call.text("subjectPrefix"), deleted) for v in store.versions(s, deleted)]
        latest = {v.subject: v for v in every}
        return [full(v) for v in (latest.values() if call.flag("latestOnly") else every)]

    @route("GET", "/schemas/ids/{id}")
    def schema_by_id(call: Call) -> Any:
        found = store.by_id(number(call.path["id"]))
        subject = call.text("subject")
        chosen = next((r for r in found if r.subject == subject), found[0])
        return full(chosen) if subject else {"schema": chosen.schema, "guid": chosen.guid, "schemaType": "AVRO"}

    @route("GET", "/schemas/ids/{id}/schema")
    def schema_text_by_id(call: Call) -> Any:
        return json.loads(store.by_id(number(call.path["id"]))[0].schema)

    @route("GET", "/schemas/ids/{id}/subjects")
    def subjects_by_id(call: Call) -> Any:
        return sorted({r.subject for r in store.by_id(number(call.path["id"])) if call.flag("deleted") or not r.deleted})

    @route("GET", "/schemas/ids/{id}/versions")
    def versions_by_id(call: Call) -> Any:
        found = store.by_id(number(call.path["id"]))
        return [{"subject": r.subject, "version": r.version} for r in found if call.flag("deleted") or not r.deleted]

    @route("GET", "/schemas/guids/{guid}")
    def schema_by_guid(call: Call) -> Any:
        found = store.by_guid(call.path["guid"])
        return {"schema": found.schema, "guid": found.guid, "schemaType": "AVRO"}

    @route("GET", "/subjects")
    def subjects(call: Call) -> Any:
        return store.subjects(call.text("subjectPrefix"), call.flag("deleted"))

    @route("GET", "/subjects/{subject}/versions")
    def versions(call: Call) -> Any:
        return [r.version for r in store.versions(call.path["subject"], call.flag("deleted"))]

    @route("POST", "/subjects/{subject}/versions")
    def register(call: Call) -> Any:
        return full(store.register(call.path["subject"], call.schema()))

    @route("GET", "/subjects/{subject}/versions/{version}")
    def version(call: Call) -> Any:
        return full(store.version(call.path["subject"], call.path["version"], call.flag("deleted")))

    @route("GET", "/subjects/{subject}/versions/{version}/schema")
    def version_text(call: Call) -> Any:
        return json.loads(store.version(call.path["subject"], call.path["version"], call.flag("deleted")).schema)

    @route("GET", "/subjects/{subject}/versions/{version}/referencedby")
    def referenced_by(call: Call) -> Any:
        store.version(call.path["subject"], call.path["version"])
        return []

    @route("DELETE", "/subjects/{subject}/versions/{version}")
    def delete_version(call: Call) -> Any:
        return store.delete_version(call.path["subject"], call.path["version"], call.flag("permanent"))

    @route("POST", "/subjects/{subject}")
    def lookup(call: Call) -> Any:
        return full(store.lookup(call.path["subject"], call.schema(), call.flag("deleted")))

    @route("DELETE", "/subjects/{subject}")
    def delete_subject(call: Call) -> Any:
        return store.delete_subject(call.path["subject"], call.flag("permanent"))

    def compatible(call: Call) -> Any:
        complaints = store.incompatibilities(call.path["subject"], call.schema(), call.path.get("version"))
        return {"is_compatible": not complaints} | ({"messages": complaints} if call.flag("verbose") else {})

    route("POST", "/compatibility/subjects/{subject}/versions/{version}")(compatible)
    route("POST", "/compatibility/subjects/{subject}/versions")(compatible)

    for path in ("/config", "/config/{subject}"):

        @route("GET", path)
        def get_level(call: Call) -> Any:
            return {"compatibilityLevel": store.level(call.subject, or_global=call.flag("defaultToGlobal"))}

        @route("PUT", path)
        def put_level(call: Call) -> Any:
            level = str(call.json().get("compatibility", "")).upper()
            store.set_level(call.subject, level)
            return {"compatibility": level}

        @route("DELETE", path)
        def delete_level(call: Call) -> Any:
            before = store.level(call.subject, or_global=call.subject is None)
            store.set_level(call.subject, None)
            return {"compatibilityLevel": before}

    for path in ("/mode", "/mode/{subject}"):

        @route("GET", path)
        def get_mode(call: Call) -> Any:
            return {"mode": store.mode(call.subject, or_global=call.flag("defaultToGlobal"))}

        @route("PUT", path)
        def put_mode(call: Call) -> Any:
            mode = str(call.json().get("mode", "")).upper()
            store.set_mode(call.subject, mode)
            return {"mode": mode}

        @route("DELETE", path)
        def delete_mode(call: Call) -> Any:
            before = store.mode(call.subject, or_global=call.subject is None)
            store.set_mode(call.subject, None)
            return {"mode": before}

    return Starlette(routes=routes, exception_handlers={404: _no_such_path, 405: _no_such_path})


def _endpoint(handler: Callable[[Call], Any]) -> Callable[[Request], Any]:
    import anyio.to_thread

    async def endpoint(request: Request) -> Response:
        try:
            body = b""
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST_REQUEST:
                    raise RegistryError(413, f"The request is larger than {LARGEST_REQUEST} bytes")
            return _answer(200, await anyio.to_thread.run_sync(handler, Call(request, body)))
        except RegistryError as error:
            status = error.code if error.code < 1000 else error.code // 100
            return _answer(status, {"error_code": error.code, "message": str(error)})

    return endpoint


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _answer(status, {"error_code": status, "message": f"HTTP {status}: {request.method} {request.url.path}"})


def _answer(status: int, value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status, media_type=MEDIA_TYPE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    store = Store(SchemaLog(arguments.bootstrap_servers))
    uvicorn.run(
        application(store), host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )


if __name__ == "__main__":
    main()
