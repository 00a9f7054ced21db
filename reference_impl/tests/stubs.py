"""Small stand-ins for tests: a Cloud Tasks over TLS and gRPC, and an HTTP server that does as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import tasks_v2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUEUE = "projects/proj/locations/loc/queues/q"


@dataclass(frozen=True)
class Trouble:
    """What the next CreateTask does: create the task or not, then answer `code` (OK if empty) or hang."""

    code: str = ""
    message: str = "told to fail"
    created: bool = False
    hang_s: float = 0.0


class Identity:
    """A CA, a certificate for the redirected endpoint and a throw-away service account, as files."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        server = self._ca.issue_cert("cloudtasks.localhost", "localhost")
        self.key = server.private_key_pem.bytes()
        self.certificates = b"".join(blob.bytes() for blob in server.cert_chain_pems)
        self.roots = folder / "roots.pem"
        self._ca.cert_pem.write_to_path(str(self.roots))
        pem = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.account = folder / "account.json"
        self.account.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "client_email": "sa@proj.iam.gserviceaccount.com",
                    "private_key": pem.decode(),
                    "private_key_id": "1",
                    "token_uri": "https://127.0.0.1:1/token",
                    "project_id": "proj",
                }
            )
        )

    def environment(self, port: int) -> dict[str, str]:
        """What redirects an unmodified client to a stub on this port."""
        return {
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": f"localhost:{port}",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.roots),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.account),
            "NO_GCE_CHECK": "true",
        }


class CloudTasksStub:
    """Takes CreateTask and delivers each task until it is answered 2xx; `troubles`: one per call."""

    def __init__(self, identity: Identity, *, deliver: bool = True, port: int = 0) -> None:
        self._identity = identity
        self._deliver = deliver
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.troubles: list[Trouble] = []
        self.always: Trouble | None = None
        self.requests: list[tasks_v2.CreateTaskRequest] = []
        self.tasks: dict[str, tasks_v2.Task] = {}
        self.copies = 1
        self.answers: list[tuple[str, int]] = []
        self._pool = futures.ThreadPoolExecutor(16)
        self.port = port
        self._server: grpc.Server | None = None
        self.open()

    def open(self) -> None:
        """Listen; on the same port as before, if there was one."""
        server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._create,
            request_deserializer=tasks_v2.CreateTaskRequest.deserialize,
            response_serializer=tasks_v2.Task.serialize,
        )
        service = "google.cloud.tasks.v2.CloudTasks"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"CreateTask": handler})]
        )
        identity = self._identity
        credentials = grpc.ssl_server_credentials([(identity.key, identity.certificates)])
        self.port = server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        server.start()
        self._server = server

    def shut(self) -> None:
        """Refuse connections."""
        assert self._server is not None
        self._server.stop(None).wait()
        self._server = None

    def close(self) -> None:
        self._stop.set()
        if self._server is not None:
            self.shut()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _create(self, request: tasks_v2.CreateTaskRequest, context: grpc.ServicerContext) -> tasks_v2.Task:
        with self._lock:
            self.requests.append(request)
            trouble = self.troubles.pop(0) if self.troubles else self.always
            exists = request.task.name in self.tasks
            if (trouble is None or trouble.created) and not exists:
                self.tasks[request.task.name] = request.task
                if self._deliver:
                    for _ in range(self.copies):
                        self._pool.submit(self._deliver_task, request.task)
        if trouble is not None:
            if trouble.hang_s:
                self._stop.wait(trouble.hang_s)
            if trouble.code:
                context.abort(grpc.StatusCode[trouble.code], trouble.message)
        elif exists:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        return request.task

    def _deliver_task(self, task: tasks_v2.Task) -> None:
        target = task.http_request
        headers = dict(target.headers) | {"X-CloudTasks-TaskName": task.name.rsplit("/", 1)[-1]}
        while not self._stop.is_set():
            try:
                reply = httpx.post(target.url, content=target.body, headers=headers, timeout=30)
                status = reply.status_code
            except httpx.HTTPError:
                status = 0
            self.answers.append((task.name, status))
            if 200 <= status < 300:
                return
            self._stop.wait(0.1)


@dataclass
class HttpStub:
    """Answers each POST with `answer(body)`: (status, body); None: drop the connection; a number: hang."""

    answer: Callable[[dict[str, Any]], tuple[int, bytes] | float | None]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        stub = self
        self._stop = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                stub.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                reply = stub.answer(json.loads(body))
                if isinstance(reply, float):
                    stub._stop.wait(reply)
                    reply = None
                if reply is None:
                    self.close_connection = True
                    return
                self.send_response(reply[0])
                self.send_header("Content-Length", str(len(reply[1])))
                self.end_headers()
                self.wfile.write(reply[1])

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def confirm(body: dict[str, Any]) -> tuple[int, bytes]:
    """The answer of a worker that did the job."""
    return 200, json.dumps({"job_id": body["job_id"], "status": "done", "checksum": "0" * 64}).encode()
