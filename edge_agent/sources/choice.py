"""From the settings of a source to the source; its code, and the library it needs, are loaded with it alone."""

import importlib
from collections.abc import Callable, Mapping
from typing import Final

from edge_agent.reading import Source
from edge_agent.settings import SourceSettings
from shared.effects.clock import Clock

MAKERS: Final[Mapping[str, str]] = {
    "netdev": "netdev.NetdevSource",
    "replay": "replay.ReplaySource",
    "proc": "proc.ProcSource",
    "exec": "exec.ExecSource",
    "modbus": "modbus.ModbusSource",
    "pulse": "pulse.PulseSource",
    "mqtt": "mqtt.MqttSource",
    "dsmr": "dsmr.dsmr_source",
    "sml": "sml.sml_source",
    "d0": "d0.d0_source",
    "mbus": "mbus.MbusSource",
    "ocmf": "ocmf.OcmfSource",
    "opcua": "opcua.OpcuaSource",
    "http": "http.HttpSource",
    "snmp": "snmp.SnmpSource",
}
"""Where each kind of source is made, in this folder."""


def source_of(settings: SourceSettings, clock: Clock) -> Source:
    """The source of the kind that the settings are of."""
    module, _, name = MAKERS[settings.type].partition(".")
    maker: Callable[[SourceSettings, Clock], Source] = getattr(
        importlib.import_module(f"edge_agent.sources.{module}"), name
    )
    return maker(settings, clock)
