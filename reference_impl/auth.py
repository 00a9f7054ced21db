"""Who may give the worker work: who knows the shared secret, or, if configured, Cloud Tasks by its token.

Sources: Cloud Tasks, "Use authentication with HTTP Target tasks" (issuer, audience and e-mail of the
token); google-auth, `google.oauth2.id_token`, which fetches Google's certificates and checks signature,
times and issuer.
"""

from __future__ import annotations

import hmac
import threading
import time
from typing import TYPE_CHECKING, Any

from google.auth import exceptions
from google.oauth2 import id_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_impl.settings import Settings

_CERTIFICATES_TTL_S = 3600.0
_FAILURE_TTL_S = 10.0
_CLOCK_SKEW_S = 10
_FETCH_TIMEOUT_S = 5.0


class Unauthorised(Exception):  # noqa: N818 — it is the HTTP status's name
    """The caller proved nothing; the message is a slug that says why."""


class CertificatesUnavailable(Exception):  # noqa: N818 — it says what is the matter
    """Google's certificates cannot be had, so that no token can be judged now; asking again may help."""


class Authenticator:
    """Checks the credentials of a request. `fetch` gets Google's certificates; tests give it, and a clock."""

    def __init__(
        self,
        settings: Settings,
        fetch: Callable[..., Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret = settings.tasks_auth.reveal().encode()
        self._service_account = settings.oidc_service_account
        self._audience = settings.oidc_audience
        self._certificates = _CachedFetch(fetch or _fetch, clock)

    def check(self, headers: Mapping[str, str]) -> None:
        """Return when the caller may. Raises Unauthorised, CertificatesUnavailable; may call Google."""
        secret = headers.get("x-tasks-auth")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if secret is not None:
            self._check_secret(secret)
        elif self._service_account and scheme.lower() == "bearer":
            self._check_token(token.strip())
        else:
            raise Unauthorised("secret-missing")

    def _check_secret(self, given: str) -> None:
        if not self._secret:
            raise Unauthorised("secret-not-configured")
        if not hmac.compare_digest(given.encode(), self._secret):
            raise Unauthorised("secret-wrong")

    def _check_token(self, token: str) -> None:
        try:
            claims = id_token.verify_oauth2_token(  # type: ignore[no-untyped-call]
                token, self._certificates, audience=self._audience, clock_skew_in_seconds=_CLOCK_SKEW_S
            )
        except exceptions.TransportError as error:
            raise CertificatesUnavailable(str(error)) from error
        except (ValueError, exceptions.GoogleAuthError) as error:
            raise Unauthorised("token-invalid") from error
        if claims.get("email") != self._service_account or claims.get("email_verified") is not True:
            raise Unauthorised("token-of-another-account")


class _CachedFetch:
    """Fetches the certificates once an hour and not once per task; called by google-auth.

    A failure is kept for a while too: a fetch may hang for seconds, and everybody with a token, valid or not, waits.
    """

    def __init__(self, fetch: Callable[..., Any], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Any = None
        self._kept_until = float("-inf")

    def __call__(self, url: str, **options: Any) -> Any:
        with self._lock:
            if self._clock() >= self._kept_until:
                try:
                    self._kept = self._fetch(url, **options)
                except exceptions.TransportError as error:
                    self._kept = error
                fine = getattr(self._kept, "status", None) == 200
                self._kept_until = self._clock() + (_CERTIFICATES_TTL_S if fine else _FAILURE_TTL_S)
            if isinstance(self._kept, exceptions.TransportError):
                raise exceptions.TransportError(str(self._kept))  # type: ignore[no-untyped-call]  # google-auth has no types
            return self._kept


def _fetch(url: str, **options: Any) -> Any:
    from google.auth.transport.requests import Request  # imported only where tokens are used: it is slow

    return Request()(url, timeout=_FETCH_TIMEOUT_S, **options)
