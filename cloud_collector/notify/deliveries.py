"""Warnings on their way: who is to hear of each, what is due now, when it is tried again, and what came of it.

At least once: what a killed process had begun is sent again, with the same id. What nobody takes for three days is
given up; `webhook replay` sends it once more.
"""

import random as random_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final

from cloud_collector.billing.revisions import revisions
from cloud_collector.insight.alerts import public
from cloud_collector.insight.owned import zone_of
from cloud_collector.notify.letter import NoAddress
from cloud_collector.notify.post import Fate, Post
from cloud_collector.notify.warning_letter import warning_letter
from cloud_collector.notify.webhook import BadSecret, event, event_id, headers
from cloud_collector.store.store import Store
from shared.effects.web_post import Answer, WebPost

BACKOFF_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between one try and the next, before jitter, as Standard Webhooks proposes."""
DELIVERIES_AT_ONCE_MAX: Final = 50
"""In one round; what is due beyond them waits for the next."""
GONE: Final = 410
"""A receiver that wants nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How things leave: effects handed in."""

    web: WebPost
    secret: Callable[[str], str | None]
    """Of a webhook, by its name."""
    source: str
    """Who sends, as a URI."""
    post: Post | None = None
    """Without it no e-mail is sent."""
    sender: str = ""
    random: random_module.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What came of one try."""

    way: str
    target: str
    ok: bool
    why: str


def plan(store: Store, warning: int, account: str, email: str | None, *, now_ms: int) -> None:
    """Everyone who is to hear of a warning has a delivery; in the transaction that keeps it."""
    if email is not None:
        store.run("delivery_add", warning, "email", email, now_ms)
    for name, _, of, _, stopped_at, _ in store.rows("webhooks"):
        if stopped_at is None and of in ("", account):
            store.run("delivery_add", warning, "webhook", name, now_ms)


def deliver_due(store: Store, now_ms: int, ways: Ways) -> tuple[Delivered, ...]:
    """What is due is tried once; raises DatabaseError."""
    found = []
    for id_, warning, way, target, attempts in store.rows("deliveries_due", now_ms, DELIVERIES_AT_ONCE_MAX):
        row = store.row("warning_one", warning)
        assert row is not None, "a delivery is of a warning"
        told = public(row)
        # P8: the try is counted before it is made, so that one which kills the process is not made for ever.
        store.run("delivery_set", "due", attempts + 1, now_ms + _wait_ms(attempts, ways), id_)
        tried = (
            _email(store, told, target, now_ms, ways) if way == "email" else _webhook(store, told, target, now_ms, ways)
        )
        with store.atomic():
            store.run("delivery_attempt_add", id_, now_ms, int(tried.ok), tried.why)
            if tried.ok or tried.final or attempts + 1 > len(BACKOFF_SECONDS):
                store.run("delivery_set", "delivered" if tried.ok else "given_up", attempts + 1, now_ms, id_)
        found.append(Delivered(way=way, target=target, ok=tried.ok, why=tried.why))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    ok: bool
    why: str
    final: bool = False
    """Whether trying again would not help."""


def _webhook(store: Store, told: Mapping[str, Any], name: str, now_ms: int, ways: Ways) -> _Tried:
    hook = store.row("webhook_one", name)
    if hook is None or hook[4] is not None:
        return _Tried(ok=False, why="the webhook was stopped", final=True)
    secret = ways.secret(name)
    if secret is None:
        return _Tried(ok=False, why=f"the secret of {name} cannot be read")
    body = event(told, ways.source)
    try:
        answer: Answer = ways.web(hook[1], headers(secret, body, message=event_id(told), at=now_ms // 1_000), body)
    except BadSecret as error:
        return _Tried(ok=False, why=str(error))
    if answer.status == GONE:
        store.run("webhook_stop", now_ms, f"it answered {answer.why}", name)
        return _Tried(ok=False, why=answer.why, final=True)
    return _Tried(ok=answer.ok, why=answer.why)


def _email(store: Store, told: Mapping[str, Any], recipient: str, now_ms: int, ways: Ways) -> _Tried:
    if ways.post is None:
        return _Tried(ok=False, why="no server sends e-mail: set mail.host")
    catalog = revisions(store)[-1].catalog
    account = catalog.accounts.get(told["account"])
    try:
        message: EmailMessage = warning_letter(
            told,
            operator=catalog.operator.name,
            name=told["account"] if account is None else account.name,
            locale=None if account is None else account.locale,
            zone=catalog.operator.timezone if account is None else zone_of(catalog, account.key),
            sender=ways.sender,
            recipient=recipient,
            now_ms=now_ms,
        )
    except NoAddress as error:
        return _Tried(ok=False, why=str(error), final=True)
    posted = ways.post(message)
    # Unclear: it may have arrived. Twice the same warning is worse than a line in the log.
    return _Tried(ok=posted.fate is Fate.SENT, why=posted.why or "sent", final=posted.fate is Fate.UNCLEAR)


def _wait_ms(attempts: int, ways: Ways) -> int:
    """Until the next try: longer each time, not for all at the same moment."""
    seconds = BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS) - 1)]
    return int(seconds * 1_000 * ways.random.uniform(0.8, 1.2))
