"""Which registers are read together: neighbours in one request, within what protocol and device allow."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge_agent.sources.modbus_channel import Register

REGISTERS_MAX: Final = 125
"""The most that one request may ask for. Source: MODBUS Application Protocol V1.1b3, 6.3 and 6.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One request and the channels that its answer holds."""

    function: int
    address: int
    count: int
    registers: tuple[Register, ...]

    def split(self) -> "tuple[Block, ...]":
        """A request for each channel alone: a device refuses a whole request for one register that it lacks."""
        return tuple(_block([register]) for register in self.registers)


def blocks_of(registers: Iterable[Register], *, registers_max: int = REGISTERS_MAX) -> tuple[Block, ...]:
    """Requests for all registers, each holding neighbours without a hole; the first comes first in every round."""
    blocks: list[list[Register]] = []
    for register in sorted(registers, key=lambda each: (each.function, each.address, each.end)):
        last = blocks[-1] if blocks else []
        if (
            last
            and last[-1].function == register.function
            and register.address <= _end(last)
            and register.end - last[0].address <= registers_max
        ):
            last.append(register)
        else:
            blocks.append([register])
    return tuple(_block(each) for each in blocks)


def _end(registers: list[Register]) -> int:
    return max(register.end for register in registers)


def _block(registers: list[Register]) -> Block:
    first = registers[0]
    return Block(
        function=first.function,
        address=first.address,
        count=_end(registers) - first.address,
        registers=tuple(registers),
    )
