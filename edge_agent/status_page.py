"""How the agent stands, as a page for people and as metrics for Prometheus. Pure: the data is that of `status --json`.

A colour never says anything alone: a word and a sign stand beside it. Exposition format: Prometheus,
text version 0.0.4.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final, NamedTuple

from edge_agent.words import count, quantity, span

REFRESH_SECONDS: Final = 10
_STYLE: Final = """
:root{color-scheme:light dark;--good:#1a7f37;--bad:#b42318;--note:#8a5a00;--line:#8884;--soft:#8881}
body{font:16px/1.45 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:1.5rem 0 .25rem}
p.verdict{font-size:1.1rem;border-left:.4rem solid;padding:.4rem .8rem;margin:.8rem 0;background:var(--soft)}
.good{color:var(--good)}.bad{color:var(--bad)}.note{color:var(--note)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem .3rem 0;vertical-align:top;
border-bottom:1px solid var(--line)}th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td span{white-space:nowrap}pre{white-space:pre-wrap;margin:.2rem 0}footer{margin-top:2rem;font-size:.85rem;opacity:.8}
@media (prefers-color-scheme:dark){:root{--good:#5fd07f;--bad:#ff8a7a;--note:#e6b450}}
"""


class Fact(NamedTuple):
    """One thing that can be well or not."""

    name: str
    mood: str
    """`good`, `note` or `bad`."""
    said: str


_SIGNS: Final = {"good": "● good", "note": "▲ note", "bad": "■ bad"}


def facts(status: Mapping[str, Any], now_ms: int) -> list[Fact]:
    """What can be well or not, one after the other."""
    link, waiting = status["link"], status["backlog_lines"]
    since = span(link["seconds"])
    oldest, receipt = status["backlog_oldest"], status["last_receipt_ms"]
    problem = str(status["config_problem"] or "")
    age = f"; the oldest sealed {span(now_ms // 1_000 - oldest)} ago" if oldest and status["synchronised"] else ""
    full = status["spool_bytes"] / status["spool_bytes_max"]
    return [
        Fact("link", "good" if link["up"] else "bad", f"up for {since}" if link["up"] else f"down: {link['why']}"),
        Fact("clock", "good" if status["synchronised"] else "note", _clock(status)),
        Fact("backlog", "good" if waiting <= BACKLOG_LINES_GOOD else "note", f"{count(waiting, 'line')}{age}"),
        Fact(
            "last receipt",
            "note" if receipt is None else "good",
            "none yet" if receipt is None else f"{span((now_ms - receipt) // 1_000)} ago",
        ),
        Fact(
            "spool",
            "bad" if status["making_room"] else "note" if full > SPOOL_SHARE_GOOD else "good",
            f"{status['spool_bytes'] / 2**20:.1f} of {status['spool_bytes_max'] / 2**20:.0f} MiB"
            + ("; full: nothing is metered until the collector has confirmed lines" if status["making_room"] else ""),
        ),
        Fact(
            "configuration",
            "bad" if status["safe_mode"] else "note" if problem else "good",
            f"{'safe mode: the last good one runs' if status['safe_mode'] else 'not taken'}: {problem}"
            if problem
            else "as it is on disk, or not yet reloaded",
        ),
    ]


BACKLOG_LINES_GOOD: Final = 32
SPOOL_SHARE_GOOD: Final = 0.8


def _clock(status: Mapping[str, Any]) -> str:
    return "synchronised" if status["synchronised"] else "not synchronised: what is metered waits for its place in time"


def page(status: Mapping[str, Any], now_ms: int) -> str:
    """The page; renews itself."""
    known = facts(status, now_ms)
    down = [source for source in status["sources"] if source["down"]]
    worst = "bad" if down or any(fact.mood == "bad" for fact in known) else "note"
    wrong = [fact.name for fact in known if fact.mood != "good"] + [source["name"] for source in down]
    verdict = (
        f'<p class="verdict {worst}">{_SIGNS[worst]}: look at {escape(", ".join(wrong))}</p>'
        if wrong
        else f'<p class="verdict good">{_SIGNS["good"]}: {count(len(status["channels"]), "channel")} metered</p>'
    )
    title = escape(f"{status['gateway']} · Meterseal")
    sources = "".join(
        _row(
            (escape(each["name"]), _mood("bad" if each["down"] else "good"), escape(each["down"] or "is read")),
        )
        for each in status["sources"]
    )
    channels = "".join(
        f"<tr><td>{escape(f'{device}.{meter}')}</td><td class=n>{quantity(register, exponent)}</td>"
        f"<td class=n>{quantity(raw, exponent)}</td><td>{escape(unit)}</td><td>{escape(log)}</td></tr>"
        for device, meter, unit, exponent, log, register, raw in status["channels"]
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(status['gateway'])}</h1>{verdict}"
        f"<h2>How it stands</h2><table>{''.join(_row(_cells(fact)) for fact in known)}</table>"
        f"<h2>Sources</h2><table><tr><th>source<th>state<th>why</tr>{sources}</table>"
        "<h2>Channels</h2><table><tr><th>channel<th class=n>register<th class=n>last reading<th>unit<th>log</tr>"
        f"{channels}</table><footer>{escape(status['agent'])}, epoch {escape(status['epoch'])}, process "
        f"{status['pid']}, {status['rss_bytes'] / 2**20:.0f} MiB. The same: <a href=/status.json>status.json</a>, "
        "<a href=/metrics>metrics</a>, <code>edge-agent status</code>.</footer></body></html>"
    )


def _cells(fact: Fact) -> tuple[str, str, str]:
    return (
        escape(fact.name),
        _mood(fact.mood),
        f"<pre>{escape(fact.said)}</pre>" if "\n" in fact.said else escape(fact.said),
    )


def _mood(mood: str) -> str:
    return f'<span class="{mood}">{_SIGNS[mood]}</span>'


def _row(cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


METRICS: Final = {
    "meterseal_agent_info": ("gauge", "1, with the gateway, its epoch and the agent's version"),
    "meterseal_agent_register_total": ("counter", "a channel's lifetime register in its unit; restarts with an epoch"),
    "meterseal_agent_source_up": ("gauge", "1 while the source can be read"),
    "meterseal_agent_link_up": ("gauge", "1 while a session with the broker stands"),
    "meterseal_agent_clock_synchronised": ("gauge", "1 while the clock is disciplined"),
    "meterseal_agent_safe_mode": ("gauge", "1 while the last good configuration runs because the file is broken"),
    "meterseal_agent_backlog_lines": ("gauge", "lines that no receipt has confirmed"),
    "meterseal_agent_spool_bytes": ("gauge", "what the spool takes"),
    "meterseal_agent_spool_bytes_max": ("gauge", "what it may take"),
    "meterseal_agent_last_receipt_timestamp_seconds": ("gauge", "the collector's time of its last receipt"),
    "meterseal_agent_resident_memory_bytes": ("gauge", "the process's resident set"),
}
"""Every metric with its type and meaning."""


def metrics(status: Mapping[str, Any]) -> str:
    """The same for Prometheus."""
    lines = []
    for name, (kind, said) in METRICS.items():
        lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in _samples(name, status)]
    return "\n".join(lines) + "\n"


def _samples(name: str, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    match name.removeprefix("meterseal_agent_"):
        case "info":
            yield _labels(gateway=status["gateway"], epoch=status["epoch"], agent=status["agent"]), "1"
        case "register_total":
            for device, meter, unit, exponent, log, register, _ in status["channels"]:
                if register is not None:
                    yield _labels(device=device, meter=meter, unit=unit, log=log), quantity(register, exponent)
        case "source_up":
            for source in status["sources"]:
                yield _labels(source=source["name"]), str(int(not source["down"]))
        case "last_receipt_timestamp_seconds":
            if status["last_receipt_ms"] is not None:
                yield "", quantity(status["last_receipt_ms"], -3)
        case other:
            values = {
                "link_up": int(status["link"]["up"]),
                "clock_synchronised": int(status["synchronised"]),
                "safe_mode": int(status["safe_mode"]),
                "backlog_lines": status["backlog_lines"],
                "spool_bytes": status["spool_bytes"],
                "spool_bytes_max": status["spool_bytes_max"],
                "resident_memory_bytes": status["rss_bytes"],
            }
            yield "", str(values[other])


def _labels(**labels: str) -> str:
    quoted = {
        name: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, text in labels.items()
    }
    return "{" + ",".join(f'{name}="{text}"' for name, text in quoted.items()) + "}"
