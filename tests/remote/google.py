"""A store that speaks Google's protocol on the loopback: gcp-storage-emulator, with what it lacks added.

``python -m tests.remote.google PORT`` is the server. Of the JSON interface the emulator knows no preconditions and does
not tell generations; of the XML interface, which delta-rs speaks, it knows files one by one. Those are added here, by
https://cloud.google.com/storage/docs/xml-api/reference-headers. With ``--plain`` nothing is added: a store that ignores
conditions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.storage import Storage

from tests.remote.process import ServerProcess, free_port

__all__ = ["GoogleProcess"]

Handler = Callable[..., None]
_ROOT = Path(__file__).parents[2]


class GoogleProcess(ServerProcess):
    """The emulator in a process of its own; it keeps everything in memory."""

    def __init__(self, *flags: str) -> None:
        port = free_port()
        super().__init__([sys.executable, "-m", "tests.remote.google", str(port), *flags], port, folder=_ROOT)

    def environment(self) -> dict[str, str]:
        """Return what names it to gcsfs and to delta-rs."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}


def _found(storage: Storage, bucket: str, name: str) -> dict[str, Any] | None:
    try:
        return dict(storage.get_file_obj(bucket, name))
    except NotFound:
        return None


def _tell(response: Any, found: dict[str, Any]) -> None:
    response["x-goog-generation"] = found["generation"]
    response["ETag"] = f'"{found["generation"]}"'
    response["Last-Modified"] = formatdate(int(found["generation"]) / 1e9, usegmt=True)


def _refused(response: Any) -> None:
    response.status = HTTPStatus.PRECONDITION_FAILED
    response.json({"error": {"code": 412, "message": "At least one of the pre-conditions you specified did not hold."}})


def _not_none(request: Any) -> None:
    if request.data is None:  # the emulator stumbles over an empty file
        request._data = b""


def _insert(request: Any, response: Any, storage: Storage) -> None:
    """The JSON interface's upload, with its precondition."""
    wanted = request.query.get("ifGenerationMatch")
    if wanted:
        name = request.query["name"][0] if "name" in request.query else request.data["meta"]["name"]
        found = _found(storage, request.params["bucket_name"], name)
        if wanted[0] != (found["generation"] if found else "0"):
            return _refused(response)
    _not_none(request)
    return objects.insert(request, response, storage)


def _download(request: Any, response: Any, storage: Storage) -> None:
    found = _found(storage, request.params["bucket_name"], request.params["object_id"])
    if found:
        _tell(response, found)
    objects.download(request, response, storage)


def _get(request: Any, response: Any, storage: Storage) -> None:
    (_download if request.query.get("alt") == ["media"] else objects.get)(request, response, storage)


def _put(request: Any, response: Any, storage: Storage) -> None:
    """The XML interface's upload, with its precondition."""
    place = request.params["bucket_name"], request.params["object_id"]
    wanted, found = request.get_header("x-goog-if-generation-match"), _found(storage, *place)
    if wanted is not None and wanted != (found["generation"] if found else "0"):
        return _refused(response)
    _not_none(request)
    objects.xml_upload(request, response, storage)
    if found := _found(storage, *place):
        _tell(response, found)
    return None


def _list(request: Any, response: Any, storage: Storage) -> None:
    """The XML interface's listing, second version."""
    given = {name: values[0] for name, values in request.query.items()}
    names = storage.get_file_list(request.params["bucket_name"], given.get("prefix"), given.get("delimiter"))
    files, prefixes = names
    after = given.get("start-after", "")
    body = "".join(
        f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size>"
        f"<LastModified>{item['updated']}</LastModified><ETag>{item['generation']}</ETag></Contents>"
        for item in files
        if item["name"] > after
    )
    body += "".join(f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes)
    text = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>{body}</ListBucketResult>"
    response.write_file(text.encode(), content_type="application/xml")


class _Head(server.RequestHandler):
    """Answers HEAD as GET without a body."""

    def do_HEAD(self) -> None:
        body, self.wfile.write = self.wfile.write, _headers_only(self.wfile.write)  # type: ignore[method-assign]
        server.Router(self).handle("GET")
        self.wfile.write = body  # type: ignore[method-assign]


def _headers_only(write: Callable[[bytes], int]) -> Callable[[bytes], int]:
    return lambda data: write(data) if data.startswith(b"HTTP/") else 0


def _complete() -> None:
    """Add what the emulator lacks."""
    known: dict[Handler, Handler] = {
        objects.insert: _insert,
        objects.get: _get,
        objects.download: _download,
        objects.xml_upload: _put,
    }
    routes = [
        (path, {verb: known.get(handler, handler) for verb, handler in verbs.items()})
        for path, verbs in server.HANDLERS
    ]
    *routes, (_, verbs) = routes  # the last one is of files, whose bucket delta-rs writes percent-encoded
    bucket = r"^/(?P<bucket_name>[-.%\w]+)"
    files = f"{bucket}/(?P<object_id>.*[^/]+)$", verbs | {"DELETE": objects.delete}
    server.HANDLERS = (*routes, files, (f"{bucket}/?$", {"GET": _list}))
    server.RequestHandler = _Head


def main(port: str, *flags: str) -> None:
    if "--plain" not in flags:
        _complete()
    server.create_server("127.0.0.1", int(port), in_memory=True).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
