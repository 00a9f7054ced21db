"""Credentials for the Cloud Tasks client that several threads may use at once.

Those of google-auth are not made for it. Source: google-auth 2.62, `google.oauth2.service_account`: two threads with
the first calls of a client each make the credentials' inner JWT, and one of them finds the other's, which has no token
yet: "'NoneType' object has no attribute 'decode'". The call fails, although nothing is wrong.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import google.auth
from google.auth.credentials import Credentials
from google.oauth2 import service_account

if TYPE_CHECKING:
    from collections.abc import Sequence


class OneAtATime(Credentials):
    """Credentials that are looked at, and refreshed where they ran out, by one thread at a time."""

    def __init__(self, inner: Any) -> None:  # google-auth has no types
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth has no types
        self._inner = inner
        self._lock = threading.Lock()

    def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
        """Add the authorisation to `headers`. Raises what the inner credentials raise."""
        with self._lock:
            self._inner.before_request(request, method, url, headers)

    def refresh(self, request: Any) -> None:
        """Get a new token. Raises what the inner credentials raise."""
        with self._lock:
            self._inner.refresh(request)


def default(scopes: Sequence[str]) -> OneAtATime:
    """What the environment gives, as the client itself would find it. Raises DefaultCredentialsError."""
    credentials: Any = google.auth.default(default_scopes=scopes)[0]
    if isinstance(credentials, service_account.Credentials):
        # The client does this to credentials that it recognises: they sign their own tokens and ask nobody.
        # Source: google-cloud-tasks, `CloudTasksTransport.__init__`.
        credentials = credentials.with_always_use_jwt_access(True)  # type: ignore[no-untyped-call]  # google-auth has no types
    return OneAtATime(credentials)
