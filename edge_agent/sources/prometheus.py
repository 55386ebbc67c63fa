"""Prometheus' text exposition, read line by line; values stay as they are printed (P1).

Source: Prometheus exposition formats, text format 0.0.4; OpenMetrics 1.0 (`_created`, a counter's start).
The parser of prometheus-client makes floats, which lose a counter's last digits.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import InvalidRecord

SELECTOR_CHARS_MAX: Final = 300
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SAMPLE: Final = re.compile(
    rf'({_NAME})\s*(?:\{{((?:[^}}"]|"(?:[^"\\]|\\.)*")*)\}})?\s*([^\s{{]\S*)(?:\s+(-?\d+(?:\.\d+)?))?(?:\s+#.*)?\s*'
)
_SELECTOR: Final = re.compile(rf"({_NAME})(?:\{{(.*)\}})?")
_ESCAPES: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of an exposition."""

    name: str
    labels: Mapping[str, str]
    value: str
    """As it is printed."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name, and labels that the sample must have."""

    name: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        """As it is written."""
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{labels}}}" if labels else self.name

    def picks(self, sample: Sample) -> bool:
        """Whether the sample is meant."""
        return sample.name == self.name and self.labels.items() <= sample.labels.items()


def selector_of(text: str) -> Selector:
    """The selector that a text spells, such as node_network_receive_bytes_total{device="eth0"}; InvalidRecord."""
    found = _SELECTOR.fullmatch(text.strip()) if len(text) <= SELECTOR_CHARS_MAX else None
    labels = None if found is None else _labels(found[2] or "")
    if found is None or labels is None:
        raise InvalidRecord(f'{text[:48]!r} is no metric; one looks like name or name{{label="value"}}')
    return Selector(found[1], labels)


def samples(text: str, names: frozenset[str]) -> Iterator[Sample]:
    """The samples of these metrics; lines that cannot be read are no samples."""
    for line in text.splitlines():
        if line.startswith("#") or re.split(r"[{\s]", line, maxsplit=1)[0] not in names:
            continue
        found = _SAMPLE.fullmatch(line)
        labels = None if found is None else _labels(found[2] or "")
        if found is not None and labels is not None:
            yield Sample(found[1], labels, found[3])


def the_one(found: Iterable[Sample], selector: Selector) -> Sample | None:
    """The sample that a selector picks; raises InvalidRecord where it picks several."""
    picked = [sample for sample in found if selector.picks(sample)]
    if len(picked) > 1:
        differ = sorted({key for sample in picked for key in sample.labels} - set(selector.labels))
        raise InvalidRecord(f"{len(picked)} series are {selector}: name one by {' or '.join(differ) or 'its labels'}")
    return picked[0] if picked else None


def created_name(name: str) -> str:
    """The metric that says when a counter began."""
    return name.removesuffix("_total") + "_created"


def _labels(text: str) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            return None
        labels[found[1]] = re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), found[2])
        at = found.end()
    return labels
