"""From the settings of a source to the source."""

from edge_agent.reading import Source
from edge_agent.settings import SourceSettings
from edge_agent.sources.d0 import D0Settings, d0_source
from edge_agent.sources.dsmr import DsmrSettings, dsmr_source
from edge_agent.sources.exec import ExecSettings, ExecSource
from edge_agent.sources.mbus import MbusSettings, MbusSource
from edge_agent.sources.modbus import ModbusSource
from edge_agent.sources.modbus_settings import ModbusSettings
from edge_agent.sources.mqtt_settings import MqttSettings
from edge_agent.sources.netdev import NetdevSettings, NetdevSource
from edge_agent.sources.ocmf_settings import OcmfSettings
from edge_agent.sources.proc import ProcSettings, ProcSource
from edge_agent.sources.pulse import PulseSettings, PulseSource
from edge_agent.sources.replay import ReplaySettings, ReplaySource
from edge_agent.sources.sml import SmlSettings, sml_source
from shared.effects.clock import Clock


def source_of(settings: SourceSettings, clock: Clock) -> Source:
    """The source of the kind that the settings are of."""
    match settings:
        case NetdevSettings():
            return NetdevSource(settings, clock)
        case ReplaySettings():
            return ReplaySource(settings, clock)
        case ProcSettings():
            return ProcSource(settings, clock)
        case ExecSettings():
            return ExecSource(settings, clock)
        case ModbusSettings():
            return ModbusSource(settings, clock)
        case PulseSettings():
            return PulseSource(settings, clock)
        case MqttSettings():
            from edge_agent.sources.mqtt import MqttSource  # noqa: PLC0415 - loaded only where it is configured.

            return MqttSource(settings, clock)
        case DsmrSettings():
            return dsmr_source(settings, clock)
        case SmlSettings():
            return sml_source(settings, clock)
        case D0Settings():
            return d0_source(settings, clock)
        case MbusSettings():
            return MbusSource(settings, clock)
        case OcmfSettings():
            from edge_agent.sources.ocmf import OcmfSource  # noqa: PLC0415 - loaded only where it is configured.

            return OcmfSource(settings, clock)
