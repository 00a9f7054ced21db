"""Answers as a virtual machine's metadata server does: which project, which account, and tokens for it.

Source: "About VM metadata", "View and query VM metadata" and "Predefined metadata keys" of Compute Engine, and what
asks: google-auth's `compute_engine._metadata`.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fake_services.exchange import Journal
from fake_services.faults import Fault, FaultBook
from fake_services.http_fake import HttpFake
from fake_services.worker_gateway.answer import Answer, scripted, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

__all__ = ["Metadata", "MetadataConfig"]

_FLAVOR = ("Metadata-Flavor", "Google")
_ROOT = "/computeMetadata/v1/"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TOKENS_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataConfig:
    """How to start a metadata server.

    Attributes:
        project: The project's id.
        account: The e-mail address of the service account `default`; "" for a machine that has none.
        zone: The zone in which the machine is.
        universe: The universe domain; googleapis.com everywhere but in a partner's cloud.
        token_lifetime_s: For how long an access token is good.
        identity: Makes an identity token for an account and an audience; None: there are none (404).
        host: Address on which it listens.
        port: 0 lets the system choose; programs expect 80.
        control_port: Port of the control plane; 0 lets the system choose.
        journal_capacity: How many exchanges are kept.
    """

    project: str = "fake-project"
    account: str = "default@fake-project.iam.gserviceaccount.com"
    zone: str = "us-central1-a"
    universe: str = "googleapis.com"
    token_lifetime_s: float = 3600.0
    identity: Callable[[str, str], str] | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    journal_capacity: int = 10_000


class Metadata(HttpFake):
    """A metadata server on the wire, started by a `Host`. Call its public names from any thread.

    Attributes:
        journal: Every request and how it was answered; tokens are not in it.
        faults: Scripted misbehaviour; a fault's method is a glob for the request's path.
    """

    def __init__(self, config: MetadataConfig | None = None) -> None:
        self.config = config or MetadataConfig()
        super().__init__(
            journal=Journal("metadata", self.config.journal_capacity),
            faults=FaultBook(_check),
            host=self.config.host,
            port=self.config.port,
            control_port=self.config.control_port,
        )
        self._lock = threading.Lock()
        self._tokens: deque[tuple[str, float]] = deque(maxlen=_TOKENS_KEPT)

    # --- from other threads --------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """host:port, as GCE_METADATA_HOST wants it."""
        return f"{self.config.host}:{self.port}"

    def has_issued(self, token: str) -> bool:
        """Whether this is an access token that was given out here and is still good."""
        now = time.monotonic()
        with self._lock:
            return any(each == token and now < until for each, until in self._tokens)

    # --- in the loop ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able; tokens are counted only."""
        return {"url": self.url, "project": self.config.project, "account": self.config.account}

    def reset_now(self) -> None:
        """Forget journal, faults and tokens. Called in the loop."""
        super().reset_now()
        with self._lock:
            self._tokens.clear()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self.faults.take(request.path, request.raw_path)
        answer = self._plain(request) if fault is None else scripted(fault, None)
        self.journal.record(
            "metadata",
            method=request.method,
            path=request.path,
            audience=request.query.get("audience"),
            status=answer.status,
            observed=answer.observed,
            fault=fault.name if fault is not None else None,
        )
        return await send(request, answer, self._hanging)

    def _plain(self, request: web.BaseRequest) -> Answer:
        if request.path == "/":  # how a program finds out whether it runs on Google Cloud
            return _text(200, "computeMetadata/\n")
        if not request.path.startswith(_ROOT):
            return _text(404, "Not Found\n")
        # Source: "Missing header response": a request that a page in a browser was tricked into has none.
        if request.headers.get(_FLAVOR[0]) != _FLAVOR[1]:
            return _text(403, "Missing required header 'Metadata-Flavor': 'Google'\n")
        if "X-Forwarded-For" in request.headers:
            return _text(403, "Requests with X-Forwarded-For are refused\n")
        return self._value(request.path.removeprefix(_ROOT).rstrip("/"), request)

    def _value(self, key: str, request: web.BaseRequest) -> Answer:
        config = self.config
        texts = {
            "project/project-id": config.project,
            "project/numeric-project-id": "100000000001",
            "instance/zone": f"projects/100000000001/zones/{config.zone}",
            "instance/region": f"projects/100000000001/regions/{config.zone.rpartition('-')[0]}",
            "instance/id": "1000000000000000001",
            "universe/universe-domain": config.universe,
        }
        if key in texts:
            return _text(200, texts[key])
        accounts = "instance/service-accounts"
        if not config.account or not key.startswith(accounts):
            return _text(404, "Not Found\n")
        if key == accounts:
            return _text(200, f"{config.account}/\ndefault/\n")
        name, _, what = key.removeprefix(accounts + "/").partition("/")
        if name not in {"default", config.account}:
            return _text(404, "Not Found\n")
        return self._of_account(what, request)

    def _of_account(self, what: str, request: web.BaseRequest) -> Answer:
        email = self.config.account
        if what == "token":
            return _json(self._new_token())
        if what == "identity":
            return self._identity(request.query.get("audience", ""))
        if what == "" and request.query.get("recursive", "").lower() == "true":
            return _json({"aliases": ["default"], "email": email, "scopes": list(_SCOPES)})
        texts = {
            "": "aliases\nemail\nidentity\nscopes\ntoken\n",
            "email": email,
            "scopes": "\n".join(_SCOPES) + "\n",
        }
        return _text(200, texts[what]) if what in texts else _text(404, "Not Found\n")

    def _identity(self, audience: str) -> Answer:
        if not audience:
            return _text(400, "non-empty audience parameter required\n")
        if self.config.identity is None:
            return _text(404, "Not Found\n")
        return _text(200, self.config.identity(self.config.account, audience))

    def _new_token(self) -> dict[str, object]:
        token, lifetime_s = f"ya29.fake-{secrets.token_urlsafe(40)}", self.config.token_lifetime_s
        with self._lock:
            self._tokens.append((token, time.monotonic() + lifetime_s))
        return {"access_token": token, "expires_in": int(lifetime_s), "token_type": "Bearer"}


def _text(status: int, text: str) -> Answer:
    # Source: every response names the server and its flavor, by which a caller knows it from a captive portal.
    headers = (_FLAVOR, ("Server", "Metadata Server for VM"), ("Content-Type", "application/text"))
    return Answer("reply" if status < 400 else "error", status, headers, text.encode())


def _json(value: object) -> Answer:
    headers = (_FLAVOR, ("Server", "Metadata Server for VM"), ("Content-Type", "application/json"))
    return Answer("reply", 200, headers, json.dumps(value).encode())


def _check(fault: Fault) -> None:
    if fault.grpc_code or fault.delivery or fault.queue or fault.late or fault.midway or fault.drip_s:
        raise ValueError(
            "the metadata server knows applied 'no' with observed, http_status, body and message"
        )
