from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.auth import exceptions, jwt
from google.auth.transport import requests
from google.oauth2 import id_token

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say
EMAIL = "worker@p.iam.gserviceaccount.com"


def delivered_token(fake: CloudTasks, client: Client, queue: str, target: Target, **token: Any) -> str:
    http = {"url": target.url + "/x?y", "headers": {"authorization": "mine"}, **token}
    client.create_task(parent=queue, task={"http_request": http})
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    authorization = target.got[0].header("Authorization")
    assert authorization is not None
    assert target.got[0].header("authorization") is None
    assert authorization.startswith("Bearer ")
    return authorization.removeprefix("Bearer ")


def test_an_id_token_is_verified_with_google_auth(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    token = delivered_token(fake, client, queue, target, oidc_token={"service_account_email": EMAIL})
    certs_url = fake.control_url + "/oauth2/v1/certs"
    audience = target.url + "/x?y"  # by default the task's URL, as given
    request: Any = requests.Request()
    claims: Any = id_token.verify_token(token, request, audience=audience, certs_url=certs_url)
    assert claims["iss"] == "https://accounts.google.com"
    assert (claims["email"], claims["email_verified"]) == (EMAIL, True)
    assert claims["sub"] == claims["azp"]
    assert claims["sub"].isdecimal()
    assert claims["exp"] - claims["iat"] == 3600
    with pytest.raises(exceptions.InvalidValue):
        id_token.verify_token(token, request, audience="https://other", certs_url=certs_url)
    assert fake.token_keys == httpx.get(certs_url).json()


def test_a_forged_token_is_not(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    token = delivered_token(
        fake, client, queue, target, oidc_token={"service_account_email": EMAIL, "audience": "a"}
    )
    head, body, signature = token.split(".")
    forged = f"{head}.{body}.{signature[:-4]}AAAA"
    with pytest.raises(exceptions.MalformedError):
        jwt.decode(forged, certs=fake.token_keys)  # type: ignore[no-untyped-call]
    assert jwt.decode(token, certs=fake.token_keys)["aud"] == "a"  # type: ignore[no-untyped-call]


def test_discovery_and_keys_agree_with_the_token(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    token = delivered_token(fake, client, queue, target, oidc_token={"service_account_email": EMAIL})
    discovery = httpx.get(fake.control_url + "/.well-known/openid-configuration").json()
    [key] = httpx.get(discovery["jwks_uri"]).json()["keys"]
    header = jwt.decode_header(token)  # type: ignore[no-untyped-call]
    assert (header["kid"], header["alg"], key["alg"], key["kty"]) == (key["kid"], "RS256", "RS256", "RSA")
    assert discovery["id_token_signing_alg_values_supported"] == ["RS256"]


def test_an_access_token(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    token = delivered_token(fake, client, queue, target, oauth_token={"service_account_email": EMAIL})
    assert token.startswith("ya29.")
