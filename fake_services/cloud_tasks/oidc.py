"""Identity and access tokens for targets, signed with a key of the fake's own that anyone can verify."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from fake_services.cloud_tasks.protos import Message

__all__ = ["TokenMaker"]

_LIFETIME_S = 3600
_DEFAULT_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class TokenMaker:
    """Makes RS256 ID tokens and access tokens for service accounts. A token is made for each attempt.

    Args:
        issuer: The tokens' `iss`.
        now_us: Tells the time.

    The key is made when it is first needed, which takes a tenth of a second.
    """

    def __init__(self, issuer: str, now_us: Callable[[], int]) -> None:
        self.issuer = issuer
        self._now_us = now_us
        self._made_key: RSAPrivateKey | None = None

    def authorization(self, token: Message, audience: str) -> str:
        """The Authorization header for an OidcToken or OAuthToken.

        Args:
            token: A v2 OidcToken or OAuthToken.
            audience: The default audience: the task's URL. Source: RPC reference, OidcToken.audience.
        """
        email = token.service_account_email
        if token.DESCRIPTOR.name == "OidcToken":
            return f"Bearer {self.id_token(email, token.audience or audience)}"
        return f"Bearer {self.access_token(email, token.scope or _DEFAULT_SCOPE)}"

    def id_token(self, email: str, audience: str) -> str:
        """A signed ID token with the claims of Google's own for service accounts."""
        number = account_number(email)
        now_s = self._now_us() // 1_000_000
        return self._signed(
            {
                "aud": audience,
                "azp": number,
                "email": email,
                "email_verified": True,
                "exp": now_s + _LIFETIME_S,
                "iat": now_s,
                "iss": self.issuer,
                "sub": number,
            }
        )

    @staticmethod
    def access_token(email: str, scope: str) -> str:
        """An opaque access token; the same for the same account and scope."""
        return "ya29.fake-" + hashlib.sha256(f"{email} {scope}".encode()).hexdigest()[:40]

    def _key(self) -> RSAPrivateKey:
        if self._made_key is None:
            from cryptography.hazmat.primitives.asymmetric import rsa  # slow to import, rarely needed

            self._made_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self._made_key

    @property
    def key_id(self) -> str:
        """The `kid` of tokens and keys."""
        numbers = self._key().public_key().public_numbers()
        return hashlib.sha256(str(numbers.n).encode()).hexdigest()[:40]

    def _signed(self, claims: dict[str, object]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        header = {"alg": "RS256", "kid": self.key_id, "typ": "JWT"}
        signed = ".".join(
            _base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
        )
        signature = self._key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        numbers = self._key().public_key().public_numbers()
        return {
            "keys": [
                {
                    "alg": "RS256",
                    "e": _base64(numbers.e.to_bytes(3, "big")),
                    "kid": self.key_id,
                    "kty": "RSA",
                    "n": _base64(numbers.n.to_bytes(256, "big")),
                    "use": "sig",
                }
            ]
        }

    def pem_keys(self) -> dict[str, str]:
        """The public key as {kid: PEM}, the form that google-auth reads."""
        from cryptography.hazmat.primitives import serialization

        pem = (
            self._key()
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return {self.key_id: pem.decode()}

    def discovery(self, base_url: str) -> dict[str, object]:
        """The OpenID discovery document, with key addresses under `base_url`."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{base_url}/oauth2/v3/certs",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "sub"],
        }


def account_number(email: str) -> str:
    """The 21-digit unique id that stands for a service account."""
    return str(10**20 + int.from_bytes(hashlib.sha256(email.encode()).digest()[:8], "big"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
