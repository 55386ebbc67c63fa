"""Lines such as gateways seal them on bad days: gaps, epochs, jumps and clocks that stand wrong."""

from hypothesis import strategies as st

from shared.report import Cause, Clock, Verdict
from tests.sealing import PaperGateway

PUMP = ("pump", "energy")


@st.composite
def odd_lines(draw: st.DrawFn) -> list[bytes]:
    """Lines of the pump's gateway, honest or not, whole or with holes."""
    gateway, register, raw = PaperGateway(), draw(st.integers(0, 20)), draw(st.integers(0, 20))
    gateway.birth((*PUMP, register, raw))
    lines: list[bytes] = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(("usage",) * 6 + ("gap", "unknown", "birth", "epoch", "jump", "back", "dark")))
        if kind == "gap":
            start = gateway.now - draw(st.integers(0, 500))
            units = draw(st.integers(0, 60))
            gateway.gap(*PUMP, start, start + draw(st.integers(1, 900)), register, register + units)
            register += units
        elif kind == "unknown":
            gateway.gap(*PUMP, gateway.now, gateway.now + 300, None, None)
        elif kind == "birth":
            gateway.birth((*PUMP, register, raw), cause=Cause.CONFIG)
        elif kind == "epoch":
            lines += gateway.lines
            gateway = gateway.next_epoch(f"{number:08x}")
            gateway.now += draw(st.integers(1, 2_000))
            register += draw(st.integers(-3, 40))
            gateway.birth((*PUMP, register, register))
        elif kind == "jump":
            register += draw(st.integers(-9, 9))
        elif kind == "back":
            gateway.now -= draw(st.integers(0, 200))
        gateway.clock = Clock.RELATIVE if kind == "dark" else Clock.SYNCHRONISED
        deltas = draw(st.lists(st.integers(0, 50), min_size=1, max_size=4))
        notes = {0: Verdict.ESTIMATED} if draw(st.integers(0, 5)) == 0 else {}
        now = gateway.now
        gateway.usage((*PUMP, register, deltas), step=draw(st.sampled_from((7, 60, 300))), notes=notes)
        gateway.now = now if kind == "dark" else gateway.now
        register += sum(deltas)
    lines += gateway.lines
    kept = [line for line in lines if draw(st.integers(0, 11)) > 0]
    return kept or lines
