"""The door that people come in by: where it stands, who sends the links, how long a session lasts. Plain values."""

from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from fastapi import Request, Response

from cloud_collector.access.sessions import Lasting
from cloud_collector.notify.post import Post
from cloud_collector.store.store import Store
from shared.effects.chance import Chance, system_chance

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Who an OpenID provider says somebody is, and where he wanted to go."""

    email: str
    leads_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProven:
    """Why a provider's answer proves nothing, in a sentence."""

    why: str


class Provider(Protocol):
    """An OpenID provider that people may sign in with."""

    @property
    def name(self) -> str:
        """What the button says."""

    def begin(self, store: Store, leads_to: str, *, chance: Chance, now_ms: int) -> tuple[str, str] | NotProven:
        """Where the browser is sent, and the state that it carries in a cookie."""

    def finish(self, store: Store, answer: dict[str, str], state: str, *, now_ms: int) -> Proven | NotProven:
        """What the provider's answer proves of the browser that carries this state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How people come in."""

    url: str = ""
    """Where everybody finds the pages, such as https://meter.example; without it no link can be sent."""
    post: Post | None = None
    sender: str = ""
    link_minutes: int = 15
    lasting: Lasting = field(default_factory=lambda: Lasting(idle_ms=24 * HOUR_MS, whole_ms=720 * HOUR_MS))
    provider: Provider | None = None
    chance: Chance = system_chance

    @property
    def site(self) -> str:
        """The host's name, for people."""
        return urlsplit(self.url).hostname or "Meterseal"

    @property
    def https(self) -> bool:
        """Whether cookies travel by https alone."""
        return self.url.startswith("https://")

    def cookie(self, word: str) -> str:
        """A cookie's name; over https one that no other host of the domain can set."""
        return f"{'__Host-' if self.https else ''}meterseal_{word}"

    def carried(self, request: Request, word: str) -> str:
        """What the browser carries under this word, or nothing."""
        return request.cookies.get(self.cookie(word), "")

    def hand(self, answer: Response, word: str, value: str, *, seconds: int) -> None:
        """The browser carries it from now on, where no script and no other site sees it."""
        answer.set_cookie(
            self.cookie(word), value, max_age=seconds, path="/", secure=self.https, httponly=True, samesite="lax"
        )

    def take(self, answer: Response, word: str) -> None:
        """The browser carries it no longer."""
        answer.delete_cookie(self.cookie(word), path="/", secure=self.https, httponly=True, samesite="lax")


def inside(path: str) -> str:
    """A path of this site to go on to, or nothing: what begins with two slashes, of either kind, is another site."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) <= 1_000
    return path if local and not path.startswith(("/sign-in", "/sign-out")) else ""
