"""Points an unmodified ``CloudTasksClient()`` at a fake, from outside, by the environment alone.

The client takes its end point from the universe domain: with ``GOOGLE_CLOUD_UNIVERSE_DOMAIN=localhost:PORT`` it
calls ``cloudtasks.localhost:PORT``, and gRPC's own resolver maps every name under ``localhost`` to loopback. The
connection is real TLS: the certificate is signed by an authority that exists for this test process only, which
gRPC is told to trust by ``GRPC_DEFAULT_SSL_ROOTS_FILE_PATH``. The credentials are a real service-account file
with a key of our own, so that the client signs its tokens itself and asks nobody for them.

Source: google-api-core and google-auth, client options and application default credentials; gRPC environment
variables.
"""

from __future__ import annotations

import functools
import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HOST = "cloudtasks.localhost"
NOWHERE = "dispatchcheck.invalid:443"
"""A universe domain that resolves nowhere: ``.invalid`` is reserved for that (RFC 2606)."""

NO_WORKER = "http://worker.dispatchcheck.invalid"
"""A worker whose name does not resolve."""

_UNIVERSE = "GOOGLE_CLOUD_UNIVERSE_DOMAIN"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain and its key, both PEM."""

    cert_pem: bytes
    key_pem: bytes


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name="dispatchcheck, for one test process")


@functools.cache
def server_identity() -> Identity:
    """The certificate with which a fake answers as Cloud Tasks; one per test process."""
    certificate = _authority().issue_cert(HOST, "cloudtasks.googleapis.com")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    return Identity(chain, certificate.private_key_pem.bytes())


def wrong_certificate(what: str, host: str) -> ssl.SSLContext:
    """A server's TLS that no caller may accept.

    Args:
        what: ``another host``: of an authority that is trusted, for another name; ``unknown authority``: for the
            right name, of an authority that nobody knows.
        host: the right name, or address.
    """
    known = what == "another host"
    authority = _authority() if known else trustme.CA(organization_name="nobody knows it")
    certificate = authority.issue_cert("elsewhere.example" if known else host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trust(folder: Path) -> dict[str, str]:
    """The variable that makes OpenSSL, and with it most HTTP clients, trust our authority."""
    folder.mkdir(parents=True, exist_ok=True)
    roots = folder / "roots.pem"
    roots.write_bytes(_authority().cert_pem.bytes())
    return {"SSL_CERT_FILE": str(roots)}


def trust_of_grpc(folder: Path) -> dict[str, str]:
    """The variable that makes gRPC trust our authority."""
    return {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": trust(folder)["SSL_CERT_FILE"]}


@functools.cache
def _private_key_pem() -> str:
    # It protects nothing, and every process checks the key when it loads it: 26 ms for 2048 bits, 3 for 1024.
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - as above
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def variables(folder: Path, *, port: int, project: str) -> dict[str, str]:
    """The environment that sends a Cloud Tasks client to ``127.0.0.1:port``.

    Args:
        folder: where the authority's certificate and the credentials are written.
        port: the fake's TLS gRPC port.
        project: the project that the credentials belong to.
    """
    trusted = trust_of_grpc(folder)
    credentials = folder / "service-account.json"
    universe = f"localhost:{port}"
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "dispatchcheck",
        "private_key": _private_key_pem(),
        "client_email": f"dispatcher@{project}.iam.gserviceaccount.com",
        "client_id": "100000000000000000001",
        "token_uri": "https://oauth2.invalid/token",
        "universe_domain": universe,
    }
    credentials.write_text(json.dumps(account), encoding="utf-8")
    credentials.chmod(0o600)
    return {
        _UNIVERSE: universe,
        **trusted,
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
        "NO_GCE_CHECK": "true",
    }


def without_credentials(folder: Path) -> dict[str, str]:
    """The variables that leave the client without credentials: it cannot even be constructed."""
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "no-such-file.json")}


def to_nowhere() -> dict[str, str]:
    """The variables that make the client call a host whose name does not resolve."""
    return {_UNIVERSE: NOWHERE}
