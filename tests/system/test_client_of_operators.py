"""What operators do with the console, done by the typed client against the running server."""

from decimal import Decimal

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


def test_where_everything_stands_is_typed(desk: Client) -> None:
    assert desk.overview().invoices == 2
    assert [each.account for each in desk.ledger()] == ["acme", "beta"]
    assert {each.state for each in desk.device_standings(account="beta")} == {"active"}
    assert desk.plan("acme-chargers").words
    assert [each.gateway for each in desk.gateways(search="roof-1")] == ["roof-1"]


def test_a_plan_is_tried_out(desk: Client) -> None:
    found = desk.what_if(["plans.charger.charges.Connection.price=19.90"], alike="acme-chargers")
    assert all(each.difference > 0 for each in found.found)
    assert {each.contract for each in found.found} == {"acme-chargers", "beta-chargers"}
    with pytest.raises(Refused, match="say what would differ"):
        desk.what_if()


def test_an_invoice_is_paid_in_part_taken_back_and_billed_again(desk: Client) -> None:
    open_before = desk.invoice("INV-2").open
    assert desk.pay("INV-2", Decimal("10.00"), reference="cash").invoice.open == open_before - 10
    note = desk.void("INV-2", "the tariff was wrong").number
    again = desk.rebill("INV-2").number
    life = desk.life("INV-2").taken_back
    assert life is not None
    assert (life.credit_note, life.replaced_by) == (note, again)


def test_billing_says_where_it_stands_and_goes_on(desk: Client) -> None:
    assert desk.billing().approval == "none"
    assert list(desk.drafts()) == []
    assert list(desk.preview(outliers=True)) == []
    for deed in (desk.resume, desk.retry):
        with pytest.raises(Refused, match=r"nothing to resume|no contract is parked"):
            deed()


def test_a_disputed_invoice_is_taken_back_and_billed_again(desk: Client) -> None:
    id_ = desk.open_dispute("INV-1", "the charger was off").id
    desk.uphold_dispute(id_, "so it was")
    note = desk.credit_dispute(id_, "the charger was off").number
    again = desk.rebill_dispute(id_).number
    credit = desk.dispute(id_).dispute.credit_note
    assert credit is not None
    assert (credit.number, credit.billed_again) == (note, again)


def test_usage_is_drawn_by_day(desk: Client) -> None:
    (curve,) = desk.curves("roof-1/sdm630-1", days=3)
    assert len(curve.bars) in {3, 4}
    assert sum((each.amount or 0 for each in curve.bars), Decimal(0)) == curve.total
