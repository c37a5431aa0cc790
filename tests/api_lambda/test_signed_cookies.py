"""Signed cookies, judged by a verifier of the documented format, by botocore and by OpenSSL."""

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from asking import SESSION_COOKIE, Asker, Tray
from botocore.signers import CloudFrontSigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import digest
from api_lambda.owner_secrets import EnvSecrets
from api_lambda.signed_cookies import SECONDS, signed_cookies
from generator.core.errors import SettingsError

NOW = 1_780_000_000
SITE = "https://films.example.org"
KEY_PAIR = "K2JCJMDEHXQW5F"
OWNERS = "rs_of-the-owner"
FAR = ("192.0.2.7", 5000)


@dataclass(frozen=True)
class KeyPair:
    private: rsa.RSAPrivateKey
    pem: str


@pytest.fixture(scope="module")
def key() -> KeyPair:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return KeyPair(private, pem.decode())


def values_of(headers: list[str]) -> dict[str, str]:
    pairs = (header.partition(";")[0].partition("=") for header in headers)
    return {name: value for name, _, value in pairs}


def decoded(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "=").replace("~", "/"))


def lets_in(cookies: dict[str, str], public: rsa.RSAPublicKey, address: str, now: int) -> bool:
    """Decide as CloudFront's documents say it does."""
    if cookies.get("CloudFront-Key-Pair-Id") != KEY_PAIR:
        return False
    policy = decoded(cookies["CloudFront-Policy"])
    try:
        public.verify(decoded(cookies["CloudFront-Signature"]), policy, PKCS1v15(), SHA1())
    except InvalidSignature:
        return False
    (statement,) = json.loads(policy)["Statement"]
    front, star, end = statement["Resource"].partition("*")
    assert (star, end) == ("*", "")
    until = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
    return address.startswith(front) and now < until


@pytest.mark.parametrize("base", ["", "/films"])
def test_they_open_the_site_for_a_day_at_most(key: KeyPair, base: str) -> None:
    public = key.private.public_key()
    for end, until in ((NOW + 90 * SECONDS, NOW + SECONDS), (NOW + 60, NOW + 60)):
        headers = signed_cookies(KEY_PAIR, key.pem, SITE + base, base, NOW, end)
        cookies = values_of(headers)

        assert lets_in(cookies, public, f"{SITE}{base}/watch/a-1.html", until - 1)
        assert not lets_in(cookies, public, f"{SITE}{base}/watch/a-1.html", until)
        assert not lets_in(cookies, public, "https://other.example.org/", NOW)
        assert not base or not lets_in(cookies, public, f"{SITE}/", NOW)
        for header in headers:
            assert header.endswith(
                f"; Path={base}/; Max-Age={until - NOW}; Secure; HttpOnly; SameSite=Lax"
            )
            assert header.isascii()
            assert not {" ", ",", '"', "+", "="} & set(header.partition(";")[0].partition("=")[2])


def test_another_key_or_a_changed_policy_opens_nothing(key: KeyPair) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    cookies = values_of(signed_cookies(KEY_PAIR, key.pem, SITE, "", NOW, NOW + 60))
    longer = values_of(signed_cookies(KEY_PAIR, key.pem, SITE, "", NOW, NOW + 61))
    mixed = {**cookies, "CloudFront-Policy": longer["CloudFront-Policy"]}

    assert not lets_in(cookies, other, f"{SITE}/", NOW)
    assert not lets_in(mixed, key.private.public_key(), f"{SITE}/", NOW)


def test_botocore_signs_the_same_policy_alike(key: KeyPair) -> None:
    cookies = values_of(signed_cookies(KEY_PAIR, key.pem, SITE, "", NOW, NOW + 60))
    policy = decoded(cookies["CloudFront-Policy"])
    signer = CloudFrontSigner(KEY_PAIR, lambda text: key.private.sign(text, PKCS1v15(), SHA1()))
    address = signer.generate_presigned_url(f"{SITE}/a", policy=policy)
    query = dict(part.split("=") for part in address.partition("?")[2].split("&"))

    assert query["Policy"] == cookies["CloudFront-Policy"]
    assert query["Signature"] == cookies["CloudFront-Signature"]


def test_openssl_takes_the_signature(
    key: KeyPair, tmp_path: Path, program: Callable[[str], str]
) -> None:
    cookies = values_of(signed_cookies(KEY_PAIR, key.pem, SITE, "", NOW, NOW + 60))
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in (
        ("public", public),
        ("policy", decoded(cookies["CloudFront-Policy"])),
        ("signature", decoded(cookies["CloudFront-Signature"])),
    ):
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [program("openssl"), "dgst", "-sha1", "-verify", "public", "-signature", "signature",
         "policy"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "Verified OK"


@pytest.mark.parametrize("pem", ["", "no key", "elliptic"])
def test_a_key_that_cannot_sign_is_an_error_with_advice(pem: str) -> None:
    if pem == "elliptic":
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(SettingsError, match="CloudFront") as raised:
        signed_cookies(KEY_PAIR, pem, SITE, "", NOW, NOW + 60)
    assert "openssl genrsa" in raised.value.hint


def private_api(tmp_path: Path, pem: str) -> Asker:
    """Return the API before a queue, as a Lambda runs it, behind CloudFront."""
    secrets = EnvSecrets(digests=digest(OWNERS), secret="ab" * 32, cloudfront_key=pem)
    app = create_app(
        ApiConfig(
            tmp_path, origins=frozenset({SITE}), owner_on_loopback="never", is_private=True,
            key_pair=KEY_PAIR, secrets=secrets, clock=lambda: NOW,
        ),
        Tray(),
    )  # fmt: skip
    return Asker(app, client=FAR)


def test_signing_in_opens_cloudfront_and_signing_out_closes_it(
    key: KeyPair, tmp_path: Path
) -> None:
    api = private_api(tmp_path, key.pem)
    begun = api("POST", "/api/session", {"token": OWNERS})
    mine = api.with_headers(cookie=f"{SESSION_COOKIE}={begun.cookies[SESSION_COOKIE]}")
    renewed, ended = mine("GET", "/api/session"), mine("DELETE", "/api/session")

    public = key.private.public_key()
    assert lets_in(begun.cookies, public, f"{SITE}/all.html", NOW)
    assert lets_in(renewed.cookies, public, f"{SITE}/all.html", NOW)
    assert {ended.cookies[f"CloudFront-{name}"] for name in ("Policy", "Signature")} == {""}
    assert "CloudFront-Policy" not in api("GET", "/api/session").cookies
    assert "CloudFront-Policy" not in api("POST", "/api/session", {"token": "rs_no"}).cookies


def test_without_the_key_nobody_signs_in_half(tmp_path: Path) -> None:
    answer = private_api(tmp_path, "")("POST", "/api/session", {"token": OWNERS})

    assert answer.status == 503
    assert answer.cookies == {}
