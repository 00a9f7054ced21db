"""Who may give the worker work."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, exceptions, jwt

from reference_impl.auth import Authenticator, CertificatesUnavailable, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.settings import Settings

ACCOUNT = "tasks@proj.iam.gserviceaccount.com"
AUDIENCE = "https://w.example/api/tasks/assemble"
CONFIGURED = {
    "WORKER_URL_BASE": "https://w.example",
    "TASKS_AUTH": "hush-hush",
    "TASKS_OIDC_SERVICE_ACCOUNT": ACCOUNT,
}


class Google:
    """Signs tokens, and gives out the certificate as Google's endpoint does."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._signer = crypt.RSASigner.from_string(pem, key_id="k1")  # type: ignore[no-untyped-call]
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "google.test")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
        self._answer = json.dumps({"k1": certificate.decode()}).encode()
        self.asked = 0
        self.status = 200

    def fetch(self, _url: str, **_: Any) -> Any:
        self.asked += 1
        return SimpleNamespace(status=self.status, data=self._answer)

    def token(self, **claims: Any) -> str:
        """As in Google's documentation of a service account's identity token, changed by `claims`."""
        now = int(time.time())
        payload = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "azp": "1234",
            "sub": "1234",
            "email": ACCOUNT,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        encoded: bytes = jwt.encode(self._signer, payload | claims)  # type: ignore[no-untyped-call]
        return encoded.decode()


@pytest.fixture(scope="module")
def google() -> Google:
    return Google()


@pytest.fixture
def check(settings: Callable[..., Settings], google: Google) -> Callable[..., None]:
    authenticator = Authenticator(settings(**CONFIGURED), google.fetch)
    return lambda **headers: authenticator.check(
        {name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_the_shared_secret(check: Callable[..., None]) -> None:
    check(x_tasks_auth="hush-hush")
    for wrong in ("", "hush-hus", "hush-hush ", "HUSH-HUSH", "hüsh"):
        with pytest.raises(Unauthorised, match="secret-wrong"):
            check(x_tasks_auth=wrong)
    with pytest.raises(Unauthorised, match="secret-missing"):
        check()


def test_it_is_compared_in_constant_time(check: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    compare = Mock(wraps=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    check(x_tasks_auth="hush-hush")
    compare.assert_called_once_with(b"hush-hush", b"hush-hush")


def test_no_secret_configured_opens_nothing(settings: Callable[..., Settings]) -> None:
    authenticator = Authenticator(settings())
    for headers in ({"x-tasks-auth": ""}, {"x-tasks-auth": "x"}):
        with pytest.raises(Unauthorised, match="secret-not-configured"):
            authenticator.check(headers)


def test_a_token_of_the_configured_account(check: Callable[..., None], google: Google) -> None:
    check(authorization=f"Bearer {google.token()}")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://elsewhere.example"}, "token-invalid"),
        ({"iss": "https://evil.example"}, "token-invalid"),
        ({"exp": 1000, "iat": 0}, "token-invalid"),
        ({"email": "other@proj.iam.gserviceaccount.com"}, "token-of-another-account"),
        ({"email_verified": False}, "token-of-another-account"),
        ({"email": None}, "token-of-another-account"),
    ],
)
def test_any_other_token_is_refused(
    check: Callable[..., None], google: Google, claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unauthorised, match=reason):
        check(authorization=f"Bearer {google.token(**claims)}")


def test_a_token_signed_by_somebody_else(check: Callable[..., None]) -> None:
    for token in (Google().token(), "not.a.token", "", "a" * 10_000):
        with pytest.raises(Unauthorised, match="token-invalid"):
            check(authorization=f"Bearer {token}")


def test_a_wrong_secret_is_not_saved_by_a_token(check: Callable[..., None], google: Google) -> None:
    with pytest.raises(Unauthorised, match="secret-wrong"):
        check(x_tasks_auth="wrong", authorization=f"Bearer {google.token()}")


def test_tokens_count_only_when_configured(settings: Callable[..., Settings], google: Google) -> None:
    authenticator = Authenticator(settings(TASKS_AUTH="hush-hush"), google.fetch)
    with pytest.raises(Unauthorised, match="secret-missing"):
        authenticator.check({"authorization": f"Bearer {google.token()}"})


def test_certificates_are_kept_and_their_absence_is_not_the_callers_fault(
    settings: Callable[..., Settings],
) -> None:
    now, google = [0.0], Google()
    authenticator = Authenticator(settings(**CONFIGURED), google.fetch, clock=lambda: now[0])
    valid = {"authorization": f"Bearer {google.token()}"}
    google.status = 503
    for _ in range(3):
        with pytest.raises(CertificatesUnavailable):
            authenticator.check(valid)
    assert google.asked == 1
    google.status, now[0] = 200, 10.0
    for _ in range(3):
        authenticator.check(valid)
    assert google.asked == 2
    now[0] += 3600
    authenticator.check(valid)
    assert google.asked == 3


def test_many_tokens_wait_once_for_a_google_that_cannot_be_reached(settings: Callable[..., Settings]) -> None:
    now, asked = [0.0], []

    def unreachable(url: str, **_: Any) -> None:
        asked.append(url)
        now[0] += 5  # the time-out
        raise exceptions.TransportError("no route")  # type: ignore[no-untyped-call]

    authenticator = Authenticator(settings(**CONFIGURED), unreachable, clock=lambda: now[0])
    for _ in range(40):
        with pytest.raises(CertificatesUnavailable, match="no route"):
            authenticator.check({"authorization": "Bearer a.b.c"})
    assert len(asked) == 1
