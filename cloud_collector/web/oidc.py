"""Signing in by an OpenID provider: the authorization code flow with PKCE (OpenID Connect Core 3.1, RFC 7636).

What counts is the ID token: signed by a key of the provider's, for this client, now, with the nonce of this browser's
try, with an address that the provider has verified. Who that is here the store says.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from cloud_collector.access.people import PersonRefused, email_of
from cloud_collector.access.secret import SECRET_BYTES, hash_of, secret_of
from cloud_collector.limits import OIDC_TRIES_MAX
from cloud_collector.store.store import Store
from cloud_collector.web.door import NotProven, Proven
from shared.effects.chance import Chance

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Of public keys alone: a signature that a client's secret could make proves nothing."""
TRY_MS: Final = 600_000
LEEWAY_SECONDS: Final = 60
FRESH_MS: Final = 3_600_000
"""How long a provider's description and keys are believed without asking again."""
ANSWER_BYTES_MAX: Final = 1024 * 1024
WAIT_SECONDS: Final = 10


class _Silent(Exception):
    """The provider gave no answer that can be used."""


@dataclass(slots=True)
class _Known:
    """What a provider said of itself, and when."""

    at_ms: int
    says: dict[str, Any]
    keys: KeySet


@dataclass(slots=True, kw_only=True)
class OpenIdProvider:
    """One provider, one client of it."""

    issuer: str
    client_id: str
    secret: str | None
    """None: a public client, for which PKCE alone stands."""
    back: str
    """Where the provider sends browsers back to."""
    called: str = ""
    transport: httpx.BaseTransport | None = None
    _known: _Known | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """What the button says."""
        return self.called or urlsplit(self.issuer).hostname or self.issuer

    def begin(self, store: Store, leads_to: str, *, chance: Chance, now_ms: int) -> tuple[str, str] | NotProven:
        """Where the browser is sent, and the state that it carries in a cookie."""
        try:
            there = self._about(now_ms).says
        except _Silent as error:
            return NotProven(why=f"{self.name} cannot be asked now: {error}")
        state, verifier, nonce = (secret_of(chance(SECRET_BYTES)) for _ in range(3))
        with store.atomic():
            store.run("oidc_prune", now_ms)
            if store.rows("oidc_count")[0][0] >= OIDC_TRIES_MAX:
                return NotProven(why="too many people sign in at this moment: try again in ten minutes")
            store.run("oidc_begin", hash_of(state), verifier, nonce, leads_to, now_ms + TRY_MS)
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.back,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in there["authorization_endpoint"] else "?"
        return f"{there['authorization_endpoint']}{joint}{urlencode(asked)}", state

    def finish(self, store: Store, answer: dict[str, str], state: str, *, now_ms: int) -> Proven | NotProven:
        """What the provider's answer proves of the browser that carries this state."""
        told = answer.get("state", "")
        if not state or not hmac.compare_digest(told.encode(), state.encode()):
            return NotProven(why="This sign-in was begun in another browser, or too long ago. Begin again.")
        row = store.row("oidc_take", hash_of(state), now_ms)
        if row is None:
            return NotProven(why="This sign-in was finished before, or was begun too long ago. Begin again.")
        verifier, nonce, leads_to = row
        if "error" in answer:
            return NotProven(why=f"{self.name} did not sign you in: {_plain(answer['error'])}")
        if answer.get("iss", self.issuer) != self.issuer:
            return NotProven(why="The answer came from another provider. Begin again.")
        try:
            tokens = self._exchanged(answer.get("code", ""), verifier, now_ms)
            claims = self._claims(tokens.get("id_token"), nonce, now_ms)
            if "email" not in claims:
                claims |= self._user_info(tokens.get("access_token"), claims["sub"], now_ms)
        except _Silent as error:
            return NotProven(why=f"{self.name} did not prove who you are: {error}")
        return self._person(claims, leads_to)

    def _person(self, claims: dict[str, Any], leads_to: str) -> Proven | NotProven:
        verified = claims.get("email_verified")
        if verified is not True and verified != "true":
            return NotProven(why=f"{self.name} has not verified your e-mail address, so it proves nothing here.")
        try:
            return Proven(email=email_of(str(claims.get("email", ""))), leads_to=leads_to)
        except PersonRefused as error:
            return NotProven(why=str(error))

    def _claims(self, token: object, nonce: str, now_ms: int) -> dict[str, Any]:
        """The claims of an ID token that is one; raises _Silent."""
        if not isinstance(token, str):
            raise _Silent("its answer has no ID token")
        rules = jwt.JWTClaimsRegistry(
            now=now_ms // 1000,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                found = jwt.decode(token, self._about(now_ms).keys, algorithms=list(ALGORITHMS))
            except InvalidKeyIdError:
                # The provider has a new key; asked for once, so that nobody makes this site ask for ever.
                found = jwt.decode(token, self._about(now_ms, again=True).keys, algorithms=list(ALGORITHMS))
            rules.validate(found.claims)
        except (JoseError, ValueError) as error:
            raise _Silent(f"its ID token does not hold ({_plain(str(error))})") from error
        claims = dict(found.claims)
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.client_id:
            raise _Silent("its ID token is for another client")
        return claims

    def _exchanged(self, code: str, verifier: str, now_ms: int) -> dict[str, Any]:
        says = self._about(now_ms).says
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.back,
            "code_verifier": verifier,
        }
        # Basic is the default (OpenID Connect Discovery 3); a provider that lists others and not this one means it.
        methods = says.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self.secret is not None and "client_secret_basic" in methods:
            return self._asked("POST", says["token_endpoint"], data=form, auth=(self.client_id, self.secret))
        form["client_id"] = self.client_id
        if self.secret is not None:
            form["client_secret"] = self.secret
        return self._asked("POST", says["token_endpoint"], data=form)

    def _user_info(self, token: object, subject: str, now_ms: int) -> dict[str, Any]:
        where = self._about(now_ms).says.get("userinfo_endpoint")
        if not isinstance(token, str) or not isinstance(where, str):
            return {}
        found = self._asked("GET", where, headers={"Authorization": f"Bearer {token}"})
        if found.get("sub") != subject:
            raise _Silent("it speaks of two different people")
        return {name: found[name] for name in ("email", "email_verified") if name in found}

    def _about(self, now_ms: int, *, again: bool = False) -> _Known:
        known = self._known
        if known is not None and not again and now_ms - known.at_ms < FRESH_MS:
            return known
        says = self._asked("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if says.get("issuer") != self.issuer:
            raise _Silent(
                f"it calls itself {_plain(str(says.get('issuer')))}, and sign_in.oidc_issuer is {self.issuer}"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            told = says.get(name)
            if not isinstance(told, str) or urlsplit(told).scheme != urlsplit(self.issuer).scheme:
                raise _Silent(f"its description has no {name} that can be used")
        try:
            keys = KeySet.import_key_set(self._asked("GET", says["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Silent("its keys cannot be read") from error
        self._known = found = _Known(at_ms=now_ms, says=says, keys=keys)
        return found

    def _asked(self, method: str, url: str, **told: Any) -> dict[str, Any]:
        """The JSON object that the provider answers, read no further than its bound (P9); raises _Silent."""
        body = bytearray()
        try:
            with (
                httpx.Client(timeout=WAIT_SECONDS, transport=self.transport) as client,
                client.stream(method, url, **told) as answer,
            ):
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise _Silent("its answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Silent(_plain(str(error) or type(error).__name__)) from error
        if answer.status_code != 200:
            raise _Silent(f"{urlsplit(url).path} answers {answer.status_code}")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Silent(f"{urlsplit(url).path} answers no JSON") from error
        if not isinstance(found, dict):
            raise _Silent(f"{urlsplit(url).path} answers no JSON object")
        return found


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def _plain(text: str) -> str:
    """A stranger's words as part of a sentence."""
    return "".join(each if each.isprintable() else " " for each in text)[:120]
