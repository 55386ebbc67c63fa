"""MqttLink against amqtt with users and access lists, and the ways in which amqtt loses messages.

The demo runs on it, so what it loses must be known: receipts heal it (P6, P7). A test that fails here
because amqtt has become better is good news: let it go.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from shared.errors import LinkRefused
from tests.brokers import Amqtt, amqtt_broker
from tests.requirements import require
from tests.unit.test_effects_contract import received, silence

pytestmark = pytest.mark.filterwarnings("ignore:The 'acl' option is deprecated:DeprecationWarning")
"""amqtt 0.12 knows the option by this name alone, and warns of it."""

USERS = {"gw-1": "right", "_collector": "also right"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Amqtt]:
    require("amqtt")
    from pwdlib import PasswordHash  # noqa: PLC0415 (comes with amqtt)
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415

    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    rows = [f"{user}:{hasher.hash(password)}" for user, password in USERS.items()]
    (tmp_path / "passwords").write_text("\n".join(rows) + "\n", encoding="ascii")
    for user, password in USERS.items():
        (tmp_path / user).write_text(password, encoding="ascii")
    plugins = {
        "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(tmp_path / "passwords")},
        "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
            "publish_acl": {"gw-1": ["t/gw-1/report"], "_collector": ["t/+/receipt"]},
            "acl": {"gw-1": ["t/gw-1/receipt"], "_collector": ["t/+/report"]},
        },
    }
    async with amqtt_broker(plugins) as broker:
        yield broker


def link(broker: Amqtt, user: str, password_file: Path) -> MqttLink:
    settings = BrokerSettings(host="127.0.0.1", port=broker.port, tls=False, password_file=password_file)
    return MqttLink(settings, user)


async def test_named_users_speak_within_their_topics(broker: Amqtt, tmp_path: Path) -> None:
    """P10: what the access list forbids is acknowledged and dropped, so PUBACK proves nothing (P6)."""
    async with (
        link(broker, "_collector", tmp_path / "_collector").session() as collector,
        link(broker, "gw-1", tmp_path / "gw-1").session() as gateway,
    ):
        await collector.subscribe("t/+/report")
        await gateway.subscribe("t/gw-1/receipt")
        await gateway.publish("t/gw-2/report", b"forged")
        await gateway.publish("t/gw-1/report", b"mine")
        (message,) = await received(collector, 1)
        assert (message.topic, message.payload) == ("t/gw-1/report", b"mine")
        await collector.publish("t/gw-1/receipt", b"seen")
        assert (await received(gateway, 1))[0].payload == b"seen"


async def test_a_subscription_that_the_access_list_forbids_is_refused_in_words(broker: Amqtt, tmp_path: Path) -> None:
    async with link(broker, "gw-1", tmp_path / "gw-1").session() as gateway:
        with pytest.raises(LinkRefused, match=r"refuses user gw-1 the subscription to t/\+/report: its access list"):
            await gateway.subscribe("t/+/report")


async def test_a_wrong_password_is_refused_in_words(broker: Amqtt, tmp_path: Path) -> None:
    with pytest.raises(LinkRefused, match="refuses user gw-1: wrong name, password or certificate"):
        async with link(broker, "gw-1", tmp_path / "_collector").session():
            pass


async def test_what_was_not_acknowledged_is_lost_on_reconnect(broker: Amqtt, tmp_path: Path) -> None:
    """P6, P7: the reason why a gateway forgets under a receipt alone."""
    async with link(broker, "_collector", tmp_path / "_collector").session() as collector:
        await collector.subscribe("t/+/report")
        async with link(broker, "gw-1", tmp_path / "gw-1").session() as gateway:
            await gateway.publish("t/gw-1/report", b"lost")
        await received(collector, 1, acknowledge=False)
    async with link(broker, "_collector", tmp_path / "_collector").session() as collector:
        await silence(collector)


async def test_what_waited_for_a_client_comes_marked_as_retained(broker: Amqtt, tmp_path: Path) -> None:
    """The mark of retention proves nothing here: on amqtt a receiver must not drop what bears it."""
    async with link(broker, "_collector", tmp_path / "_collector").session() as collector:
        await collector.subscribe("t/+/report")
    async with link(broker, "gw-1", tmp_path / "gw-1").session() as gateway:
        await gateway.publish("t/gw-1/report", b"waited")
    async with link(broker, "_collector", tmp_path / "_collector").session() as collector:
        (message,) = await received(collector, 1)
        assert (message.payload, message.retained) == (b"waited", True)
