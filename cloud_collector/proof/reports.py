"""The reports of a bundle, each checked: form, signature by a trusted key, chain; and that none is absent (P11)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloud_collector.proof.bundle import GatewayKey, LogName
from cloud_collector.proof.evidence import Needed, missing_from
from cloud_collector.proof.findings import Finding, Stage
from cloud_collector.proof.trust import Trust
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Line, parse
from shared.report import Report, Rotate, Summary, read
from shared.validity import Rotation, Validity


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A report of the bundle that can be read, genuine or not."""

    place: str
    line: Line
    report: Report
    genuine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Every report that can be read, and everything that is wrong with the lines."""

    held: tuple[Held, ...]
    findings: tuple[Finding, ...]


def check_reports(
    files: Mapping[LogName, Sequence[bytes]], keys: Sequence[GatewayKey], trust: Trust, wanted: Needed
) -> Checked:
    """Check every row of every file of lines."""
    known = {(row.gateway, row.key.id): row.key for row in keys}
    held: list[Held] = []
    findings: list[Finding] = []
    for name, rows in sorted(files.items()):
        log_held, log_findings = _check_log(name, rows, known)
        held += log_held
        findings += log_findings
    findings += _untrusted(held, known, trust)
    positions = []
    for each in held:
        head = each.report.header
        positions.append((head.gateway, head.log, head.epoch, head.seq))
        if not wanted.allows(each.report):
            findings.append(_finding(each.place, "the invoice does not rest on this report: it does not belong here"))
    findings += _covered(held)
    for gateway, log, epoch, (first, last) in missing_from(wanted, positions):
        which = f"report {first}" if first == last else f"reports {first} to {last}"
        findings.append(_finding(_file(gateway, log), f"{which} of epoch {epoch}, which had been received, is missing"))
    return Checked(held=tuple(held), findings=tuple(findings))


def _check_log(
    name: LogName, rows: Sequence[bytes], known: Mapping[tuple[str, str], PublicKey]
) -> tuple[list[Held], list[Finding]]:
    held: list[Held] = []
    findings: list[Finding] = []
    for number, raw in enumerate(rows, start=1):
        place = f"{_file(*name)} row {number}"
        found = _read(place, name, raw, known)
        if isinstance(found, Finding):
            findings.append(found)
            continue
        if not found.genuine:
            findings.append(_finding(place, f"{_said(found)} was changed after the gateway signed it"))
        findings += _linked(held[-1] if held else None, found)
        held.append(found)
    return held, findings


def _read(place: str, name: LogName, raw: bytes, known: Mapping[tuple[str, str], PublicKey]) -> Held | Finding:
    line = parse(raw)
    if isinstance(line, Refused):
        return _finding(place, f"this row is no sealed line: {line.reason}")
    report = read(line)
    if isinstance(report, Refused):
        return _finding(place, f"this line is no report: {report.reason}")
    head = report.header
    if (head.gateway, head.log) != name:
        return _finding(place, f"this report is of {head.gateway} {head.log}: it stands in another log's file")
    key = known.get((head.gateway, head.key))
    if key is None:
        return _finding(place, f"{_name(report)} names the key {head.key}, which keys.json does not have")
    return Held(place=place, line=line, report=report, genuine=line.verified_by(key))


def _linked(before: Held | None, after: Held) -> Iterator[Finding]:
    """The chain between two rows of a file; a changed report is named once, not again by its neighbour."""
    if before is None:
        return
    old, new = before.report.header, after.report.header
    if (old.epoch, old.seq) >= (new.epoch, new.seq):
        yield _finding(after.place, f"{_name(after.report)} does not stand in its order")
        return
    neighbours = old.epoch == new.epoch and old.seq + 1 == new.seq
    if neighbours and before.genuine and after.genuine and new.prev != before.line.hash:
        sentence = f"{_name(after.report)} follows another report {old.seq} than the one that stands here"
        yield _finding(after.place, sentence)


def _covered(held: Sequence[Held]) -> Iterator[Finding]:
    """A summary's hashes against the reports that stand at both ends of what it covers."""
    hashes: dict[tuple[str, str, str, int], str] = {}
    for each in held:
        head = each.report.header
        if each.genuine:
            hashes[head.gateway, head.log, head.epoch, head.seq] = each.line.hash
            hashes.setdefault((head.gateway, head.log, head.epoch, head.seq - 1), head.prev)
    for each in held:
        head = each.report.header
        for cover in each.report.covers if isinstance(each.report, Summary) else ():
            for seq, said in ((cover.first - 1, cover.before), (cover.last, cover.end)):
                if hashes.get((head.gateway, head.log, head.epoch, seq), said) != said:
                    sentence = f"{_name(each.report)} covers another report {seq} than the one that stands here"
                    yield _finding(each.place, sentence)


def _untrusted(held: Sequence[Held], known: Mapping[tuple[str, str], PublicKey], trust: Trust) -> Iterator[Finding]:
    """Keys that are neither named by the reader nor introduced by a trusted key, and lines of keys not valid there."""
    for gateway in sorted({each.report.header.gateway for each in held}):
        own = [each for each in held if each.report.header.gateway == gateway]
        used = {each.report.header.key for each in own}
        keys = Validity(
            roots={key for name, key in known if name == gateway and trust.covers(known[name, key])},
            rotations=[_rotation(each.report) for each in own if each.genuine and isinstance(each.report, Rotate)],
        )
        strangers = {key for key in used if not keys.leads_to(key)}
        for key_id in sorted(strangers):
            key = known[gateway, key_id]
            yield Finding(
                stage=Stage.KEYS,
                place=f"gateway {gateway}",
                sentence=f"its key is not one that you trust: {key.words} ({key.sha256}). Compare these words with the "
                "gateway's label or screen, then name them with --trust",
            )
        for each in own:
            head = each.report.header
            fault = None if head.key in strangers else keys.fault(head.log, head.epoch, head.seq, head.key)
            if fault is not None:
                yield _finding(each.place, f"{_name(each.report)} is signed by a key that is not valid there: {fault}")


def _rotation(report: Rotate) -> Rotation:
    head = report.header
    new = PublicKey.from_text(report.next).id
    return Rotation(log=head.log, epoch=head.epoch, seq=head.seq, old=head.key, new=new)


def _said(held: Held) -> str:
    return f"{_name(held.report)} of {held.report.header.gateway}"


def _name(report: Report) -> str:
    head = report.header
    return f"report {head.seq} of epoch {head.epoch}"


def _file(gateway: str, log: str) -> str:
    return f"lines/{gateway}.{log}.ms"


def _finding(place: str, sentence: str) -> Finding:
    return Finding(stage=Stage.LINES, place=place, sentence=sentence)
