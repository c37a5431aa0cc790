"""Signed cookies, by which CloudFront lets a browser read a private site.

Source: "Set signed cookies that use a custom policy" in the developer guide of CloudFront.
"""

from base64 import b64encode
from json import dumps

from generator.core.errors import SettingsError

SECONDS = 86_400  # CloudFront asks nobody: a revoked viewer reads for so long
_CHARACTERS = str.maketrans("+=/", "-_~")


def signed_cookies(key_pair: str, key: str, site: str, base: str, now: int, end: int) -> list[str]:
    """Return the Set-Cookie headers that open a site until `end`, a day from now at most.

    Args:
        key_pair: the id of the public key in CloudFront.
        key: the private key, in PEM.
        site: the address of the site, without "/" at its end.
        base: where it lives on its host, "" or "/sub/folder".
        now: seconds since 1970.
        end: when the session is over, likewise.

    Raises:
        SettingsError: the key cannot sign.
    """
    until = min(end, now + SECONDS)
    policy = policy_of(f"{site}/*", until)
    values = {
        "CloudFront-Policy": _encoded(policy),
        "CloudFront-Signature": _encoded(_signature(key, policy)),
        "CloudFront-Key-Pair-Id": key_pair,
    }
    rest = f"Path={base}/; Max-Age={until - now}; Secure; HttpOnly; SameSite=Lax"
    return [f"{name}={value}; {rest}" for name, value in values.items()]


def no_signed_cookies(base: str) -> list[str]:
    """Return the Set-Cookie headers that delete them."""
    names = ("CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id")
    return [f"{name}=; Path={base}/; Max-Age=0; Secure; HttpOnly; SameSite=Lax" for name in names]


def policy_of(resource: str, until: int) -> bytes:
    """Return the policy that a resource may be read until then."""
    condition = {"DateLessThan": {"AWS:EpochTime": until}}
    policy = {"Statement": [{"Resource": resource, "Condition": condition}]}
    return dumps(policy, separators=(",", ":")).encode()


def _signature(key: str, policy: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415 (only to sign in)
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 (likewise)
    from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415 (likewise)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 (likewise)

    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise SettingsError(
            "the private key of CloudFront's signed cookies cannot be read",
            hint="make one with: openssl genrsa 2048",
        ) from error
    if not isinstance(private, RSAPrivateKey):
        raise SettingsError(
            "the private key of CloudFront's signed cookies is not RSA",
            hint="make one with: openssl genrsa 2048",
        )
    return private.sign(policy, PKCS1v15(), SHA1())  # noqa: S303 (it is what CloudFront checks)


def _encoded(content: bytes) -> str:
    """Return base64 with the characters that a cookie cannot have replaced as CloudFront does."""
    return b64encode(content).decode().translate(_CHARACTERS)
