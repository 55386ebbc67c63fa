"""What smart plugs and home automation publish, in the shape in which they do; figures are this file's own.

Shapes after the pages that edge_agent/sources/mqtt_presets.toml names.
"""

import json
from collections.abc import Mapping
from typing import Any


def tasmota_sensor(total: str, *, power: str = "12", zeroed: str = "2024-03-01T08:00:00") -> str:
    """Telemetry of a Tasmota plug: tele/<topic>/SENSOR. It prints three decimals of kWh."""
    return (
        f'{{"Time":"2026-11-20T10:00:00","ENERGY":{{"TotalStartTime":"{zeroed}","Total":{total},"Yesterday":0.451,'
        f'"Today":0.120,"Period": 1,"Power":{power},"ApparentPower":19,"ReactivePower":15,"Factor":0.63,'
        '"Voltage":231,"Current":0.082}}'
    )


def tasmota_status(total: str, *, zeroed: str = "2024-03-01T08:00:00") -> str:
    """The answer to `Status 10`: stat/<topic>/STATUS10."""
    return f'{{"StatusSNS":{tasmota_sensor(total, zeroed=zeroed)}}}'


def shelly_gen1_info(total: int, uptime: int, *, power: str = "40.51") -> str:
    """The status of a first-generation Shelly plug: shellies/<id>/info. Its total is in watt-minutes."""
    return json.dumps(
        {
            "wifi_sta": {"connected": True, "ssid": "site", "ip": "192.0.2.17", "rssi": -57},
            "mqtt": {"connected": True},
            "time": "10:00",
            "serial": 1,
            "relays": [{"ison": True, "has_timer": False, "overpower": False, "source": "mqtt"}],
            "meters": [
                {"power": 0, "overpower": 0.0, "is_valid": True, "counters": [40.5, 40.4, 40.1], "total": total}
            ],
            "temperature": 28.61,
            "uptime": uptime,
        }
    ).replace('"power": 0,', f'"power": {power},')


def shelly_gen2_switch(total: str, *, apower: str = "78.4") -> str:
    """The status of a switch with a meter: <prefix>/status/switch:0. It prints three decimals of Wh."""
    return (
        f'{{"id":0, "source":"init", "output":true, "apower":{apower}, "voltage":231.2, "freq":50.0, "current":0.345, '
        f'"aenergy":{{"total":{total},"by_minute":[1306.667,1306.667,1306.667],"minute_ts":1795168800}},'
        '"ret_aenergy":{"total":0.000,"by_minute":[0.000,0.000,0.000],"minute_ts":1795168800},'
        '"temperature":{"tC":41.0, "tF":105.8}}'
    )


def shelly_gen2_answer(request: Mapping[str, Any], total: str) -> tuple[str, str]:
    """Topic and payload of the answer to an RPC request over MQTT."""
    status = shelly_gen2_switch(total)
    answer = f'{{"id":{request["id"]},"src":"shellyplusplugs-80646fd20608","dst":"{request["src"]}","result":{status}}}'
    return f"{request['src']}/rpc", answer


def shelly_gen2_em(total: str, returned: str) -> str:
    """The counters of a three-phase meter: <prefix>/status/emdata:0."""
    return (
        '{"id":0,"a_total_act_energy":4187.33,"a_total_act_ret_energy":0.00,"b_total_act_energy":2101.04,'
        '"b_total_act_ret_energy":0.00,"c_total_act_energy":377.50,"c_total_act_ret_energy":12.25,'
        f'"total_act":{total}, "total_act_ret":{returned}}}'
    )


def zigbee2mqtt_plug(energy: str, *, power: str = "12.3", last_seen: str = "2026-11-20T10:00:00+00:00") -> str:
    """The state of a Zigbee plug: zigbee2mqtt/<friendly name>, with last_seen switched on."""
    return (
        f'{{"current":0.06,"energy":{energy},"last_seen":"{last_seen}","linkquality":112,"power":{power},'
        '"power_outage_memory":"restore","state":"ON","update":{"state":"idle"},"voltage":231}'
    )
