"""What operators do with the console, done by the typed client against the running server."""

import pytest

from cloud_collector.client.client import Client, Refused
from tests.system.test_client import desk, site, url

__all__ = ["desk", "site", "url"]


def test_a_gateway_is_told_what_to_do(desk: Client) -> None:
    assert desk.resend("roof-1").lines == 0
    given = desk.read_now("roof-1").command
    assert [each.command for each in desk.gateway("roof-1").commands] == [given]
    with pytest.raises(Refused, match="did you mean roof-1"):
        desk.read_now("rooof-1")


def test_a_device_is_suspended_and_resumed(desk: Client) -> None:
    assert desk.say("roof-1/sdm630-1", "suspend", "winter", dry_run=True).new
    assert desk.say("roof-1/sdm630-1", "suspend", "winter").state == "suspended"
    assert desk.say("roof-1/sdm630-1", "resume", "spring").before == "suspended"


def test_strangers_are_heard_of_no_more_and_again_or_let_in(desk: Client) -> None:
    topic = next(each.name for each in desk.unmatched() if each.kind == "topic")
    assert desk.block(topic, "noise").by == "token desk"
    assert [each.name for each in desk.blocked()] == [topic]
    assert desk.unblock(topic).name == topic
    device = next(each.name for each in desk.unmatched() if each.kind == "device")
    assert desk.assign(device, "acme-chargers").revision == 2
    with pytest.raises(Refused, match="awaits acceptance"):
        desk.accept("roof-1", "acid bird")


def test_the_log_says_who_did_it(desk: Client) -> None:
    desk.read_now("roof-2")
    entry = next(desk.audit(who="token desk"))
    assert (entry.deed, entry.what, entry.by) == ("command", "gateway command roof-2 read_now", "token")
