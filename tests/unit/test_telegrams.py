"""Telegrams of smart meters are read exactly, or not at all."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import pytest

from edge_agent.sources.d0_telegram import D0Telegrams, Greeting, greeting_in
from edge_agent.sources.newest import Framer
from edge_agent.sources.obis import Obis, Register, Telegram, Unreadable, code_of, find, wanted_of
from edge_agent.sources.p1_cipher import SealedTelegrams
from edge_agent.sources.p1_telegram import P1Telegrams
from edge_agent.sources.sml_telegram import SmlTelegrams, server_serial
from tests import telegrams


def heard(framer: Framer, *pieces: bytes) -> list[Telegram | Unreadable]:
    return [found for piece in pieces for found in framer.feed(piece)]


def only(found: Sequence[Telegram | Unreadable]) -> dict[str, Register]:
    """The registers of the one telegram that was found, by code."""
    ((telegram),) = found
    assert not isinstance(telegram, Unreadable), telegram
    return {str(register.code): register for register in telegram}


def why(found: Sequence[Telegram | Unreadable]) -> str:
    ((unreadable),) = found
    assert isinstance(unreadable, Unreadable), unreadable
    return unreadable.why


def found_by(telegram: Telegram, wanted: str) -> Sequence[Register]:
    found = find(telegram, wanted_of(wanted))
    assert not isinstance(found, str), found
    return found


def values(registers: Iterable[Register]) -> dict[str, str]:
    return {str(register.code): f"{register.value} {register.unit}" for register in registers}


class TestCodes:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("1-0:1.8.0", Obis("1", "0", "1", "8", "0")),
            ("1-0:1.8.0*255", Obis("1", "0", "1", "8", "0")),
            ("1-00:01.08.000*255", Obis("1", "0", "1", "8", "0")),
            ("1.8.1", Obis(None, None, "1", "8", "1")),
            ("1.8.0*03", Obis(None, None, "1", "8", "0", "3")),
            ("1.8.0&3", Obis(None, None, "1", "8", "0", "3")),
            ("F.F", Obis(None, None, "F", "F", "0")),
            ("C.1.0", Obis(None, None, "C", "1", "0")),
            ("1-0:", None),
            ("hello", None),
            ("1.8.0 ", None),
        ],
    )
    def test_a_code_is_read_in_every_spelling(self, text: str, code: Obis | None) -> None:
        assert code_of(text) == code

    def register(self, code: str, value: int = 1, **more: str) -> Register:
        found = code_of(code)
        assert found is not None
        return Register(found, Fraction(value), "kWh", **more)

    def test_a_sum_is_taken_where_the_total_is_not_printed(self) -> None:
        tariffs = (self.register("1-0:1.8.1", 3), self.register("1-0:1.8.2", 4))
        wanted = "1.8.0|1.8.1+1.8.2"
        assert [each.value for each in found_by(tariffs, wanted)] == [3, 4]
        assert [each.value for each in found_by((*tariffs, self.register("1-0:1.8.0", 7)), wanted)] == [7]

    def test_a_sum_with_a_missing_part_is_no_sum(self) -> None:
        """P19: never guess."""
        assert find((self.register("1-0:1.8.1", 3),), wanted_of("1.8.1+1.8.2")) == (
            "1.8.2 is not in it; in it are 1-0:1.8.1"
        )

    def test_two_that_fit_are_none(self) -> None:
        """P19: never guess."""
        two = (self.register("0-1:24.2.1", medium="gas"), self.register("0-2:24.2.1", medium="gas"))
        assert find(two, wanted_of("gas")) == (
            "gas is there 2 times (0-1:24.2.1, 0-2:24.2.1): name one by its whole OBIS code"
        )
        assert len(find(two, wanted_of("0-2:24.2.1"))) == 1

    def test_after_an_exchange_the_meter_that_still_speaks_is_taken(self) -> None:
        old = self.register("0-1:24.2.1", medium="gas", serial="OLD", late="was last read 300 days before")
        new = self.register("0-2:24.2.1", medium="gas", serial="NEW")
        assert [each.serial for each in found_by((old, new), "gas")] == ["NEW"]
        assert find((old,), wanted_of("gas")) == "gas was last read 300 days before"


class TestP1:
    def test_a_dutch_telegram_of_version_5(self) -> None:
        found = only(heard(P1Telegrams(), telegrams.dsmr5()))
        assert values(found.values()) == {
            "1-0:1.8.1": "15432/125 kWh",
            "1-0:1.8.2": "456789/1000 kWh",
            "1-0:2.8.1": "1 kWh",
            "1-0:2.8.2": "1/500 kWh",
            "1-0:1.7.0": "617/500 kW",
            "1-0:2.7.0": "0 kW",
            "1-0:32.7.0": "231 V",
            "0-1:24.2.1": "2469/200 m3",
        }
        assert found["1-0:1.8.1"].serial == "TEST0001"
        gas = found["0-1:24.2.1"]
        assert (gas.serial, gas.medium, gas.late) == ("GAS00001", "gas", "")

    @pytest.mark.parametrize("parity", [False, True], ids=["8N1", "7E1"])
    def test_telegrams_of_versions_2_and_3_have_no_crc_and_break_a_line(self, parity: bool) -> None:  # noqa: FBT001
        telegram = telegrams.p1(
            [
                "0-0:96.1.1(5445535430303032)",
                "1-0:1.8.1(00010.500*kWh)",
                "1-0:1.8.2(00020.000*kWh)",
                "0-0:17.0.0(0999.00*kW)",
                "0-0:96.13.0()",
                "0-1:24.1.0(3)",
                "0-1:96.1.0(3031323334353637)",
                "0-1:24.3.0(260401110000)(00)(60)(1)(0-1:24.2.1)(m3)",
                "(00004.001)",
                "0-1:24.4.0(1)",
            ],
            crc=False,
        )
        sent = telegrams.even(telegram) if parity else telegram
        framer = P1Telegrams()
        assert "the next one must name the same meters" in why(heard(framer, sent))
        found = only(heard(framer, sent))
        assert found["1-0:1.8.1"].serial == "TEST0002"
        gas = found["0-1:24.2.1"]
        assert (gas.value, gas.unit, gas.serial, gas.medium) == (Fraction(4001, 1000), "m3", "01234567", "gas")

    def test_a_serial_that_came_over_wrongly_without_a_crc_is_not_taken_for_an_exchange(self) -> None:
        """P4: only a second telegram makes another meter."""
        framer = P1Telegrams()

        def said(serial: str) -> list[Telegram | Unreadable]:
            return heard(framer, telegrams.p1([f"0-0:96.1.1({serial})", "1-0:1.8.1(1*kWh)"], crc=False))

        assert [isinstance(said(serial)[0], Unreadable) for serial in ("77", "77", "71", "77", "77", "88", "88")] == [
            *(True, False, True, True, False, True, False)
        ]

    def test_a_belgian_telegram_says_its_version_elsewhere_and_its_gas_uncorrected(self) -> None:
        found = only(
            heard(
                P1Telegrams(),
                telegrams.p1(
                    [
                        "0-0:96.1.4(50217)",
                        f"0-0:96.1.1({telegrams.spelled('1TST310001')})",
                        "0-0:1.0.0(260401120000S)",
                        "1-0:1.8.1(000000.034*kWh)",
                        "1-0:1.8.2(000015.758*kWh)",
                        "1-0:1.6.0(260301134558W)(02.589*kW)",
                        "0-0:98.1.0(1)(1-0:1.6.0)(1-0:1.6.0)(260301000000W)(260223192538W)(03.695*kW)",
                        "0-1:24.1.0(003)",
                        f"0-1:96.1.1({telegrams.spelled('7TST2119')})",
                        "0-1:24.4.0(1)",
                        "0-1:24.2.3(260401115558S)(00112.384*m3)",
                        "0-2:24.1.0(007)",
                        f"0-2:96.1.1({telegrams.spelled('8TST1234')})",
                        "0-2:24.2.1(260401115558S)(00872.234*m3)",
                    ]
                ),
            )
        )
        assert values(found.values()) == {
            "1-0:1.8.1": "17/500 kWh",
            "1-0:1.8.2": "7879/500 kWh",
            "0-1:24.2.3": "14048/125 m3",
            "0-2:24.2.1": "436117/500 m3",
        }
        assert [(each.serial, each.medium) for each in found.values()][2:] == [
            ("7TST2119", "gas"),
            ("8TST1234", "water"),
        ]

    def test_hungarian_and_swedish_telegrams_print_totals(self) -> None:
        hungarian = telegrams.p1(
            [
                "0-0:1.0.0(260401120000S)",
                f"0-0:42.0.0({telegrams.spelled('TST0000000000001')})",
                f"0-0:96.1.0({telegrams.spelled('890000001')})",
                *("1-0:1.8.0(000173.640*kWh)", "1-0:1.8.1(000047.719*kWh)", "1-0:1.8.2(000125.921*kWh)"),
                *("1-0:1.8.3(000000.000*kWh)", "1-0:1.8.4(000000.000*kWh)", "1-0:3.8.0(000000.123*kvarh)"),
            ]
        )
        found = heard(P1Telegrams(), hungarian)
        totals = found_by(tuple(only(found).values()), "1.8.0|1.8.1+1.8.2")
        assert [(each.value, each.serial) for each in totals] == [(Fraction(173_640, 1000), "890000001")]
        swedish = telegrams.p1(["0-0:1.0.0(260401120000W)", "1-0:1.8.0(00006678.394*kWh)", "1-0:21.7.0(0001.023*kW)"])
        assert only(heard(P1Telegrams(), swedish))["1-0:1.8.0"].value == Fraction(6_678_394, 1000)

    def test_a_telegram_from_luxembourg_is_opened_with_the_key(self) -> None:
        framer = SealedTelegrams(lambda: telegrams.KEY)
        sealed = telegrams.sealed_p1(telegrams.dsmr5(serial="LUX1"))
        found = only(heard(framer, b"\xdb\x08noise", sealed[:100], sealed[100:]))
        assert found["1-0:1.8.1"].serial == "LUX1"
        assert why(heard(SealedTelegrams(lambda: bytes(16)), sealed)) == "the key does not open it"

    def test_a_sub_meter_that_fell_silent_is_not_read(self) -> None:
        """P3: P1 ports repeat its last value for ever."""
        lines = [
            "0-0:1.0.0(260329060000S)",
            "0-1:24.1.0(003)",
            "0-1:24.2.1(260328220000W)(00012.345*m3)",
            "0-2:24.1.0(007)",
            "0-2:24.2.1(260328230000W)(00012.345*m3)",
        ]
        (found,) = heard(P1Telegrams(), telegrams.p1(lines))
        late = {register.medium: register.late for register in found if isinstance(register, Register)}
        assert late["gas"].startswith("was last read by the electricity meter 7:00:00 before")
        assert late["water"] == "", "the night in which summer time begins is an hour shorter"

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (telegrams.dsmr5().replace(b"123.456", b"123.457"), "the CRC is wrong"),
            (telegrams.dsmr5()[:-6] + b"\r\n", "the CRC is missing"),
            (telegrams.dsmr5()[30:], "an end without a beginning"),
            (telegrams.p1(["0-0:96.13.0()"]), "a telegram without a single value"),
            (
                telegrams.p1(["1-0:1.8.1(1*kWh)", "1-0:1.8.2(1"], crc=False),
                "it has no CRC, and a line that cannot be read",
            ),
            (b"/" + b"x" * 17_000, "16384 bytes without an end of a telegram"),
        ],
    )
    def test_what_is_no_telegram_is_not_read(self, sent: bytes, said: str) -> None:
        assert why(heard(P1Telegrams(), sent)) == said

    def test_a_half_telegram_does_not_hide_the_next(self) -> None:
        sent = telegrams.dsmr5()
        assert "1-0:1.8.1" in only(heard(P1Telegrams(), b"\x00\xff/" + sent[:200] + sent))

    def test_bytes_may_come_in_any_pieces(self) -> None:
        sent = telegrams.dsmr5() * 2
        assert len(heard(P1Telegrams(), *(sent[at : at + 7] for at in range(0, len(sent), 7)))) == 2


D0_LINES = ("F.F(00)", "C.1.0(00123456)", "1.8.0(000123.4*kWh)", "1.8.1(000100.0*kWh)", "1.8.0*01(000090.0*kWh)")


class TestD0:
    def test_a_block_is_read_with_its_check_and_parity(self) -> None:
        for sent in (telegrams.d0_block(D0_LINES), telegrams.even(telegrams.d0_block(D0_LINES))):
            found = only(heard(D0Telegrams(asked=True), b"/TST5X\r\n" + sent))
            assert found["1.8.0"].value == Fraction(1234, 10)
            assert found["1.8.0*1"].value == 90
            assert {each.serial for each in found.values()} == {"00123456"}

    def test_a_meter_that_sends_by_itself_ends_with_the_silence(self) -> None:
        framer = D0Telegrams()
        sent = telegrams.d0_push(["1-0:0.0.0*255(77)", "1-0:1.8.0*255(00032549.5061662*kWh)"])
        assert heard(framer, sent) == []
        assert "the next one" in why(list(framer.pause()))
        assert heard(framer, sent) == []
        found = only(list(framer.pause()))
        assert found["1-0:1.8.0"] == Register(code_of("1-0:1.8.0"), Fraction(325_495_061_662, 10**7), "kWh", "77")  # type: ignore[arg-type]

    def test_several_values_may_stand_in_a_line(self) -> None:
        found = only(
            heard(D0Telegrams(asked=True), telegrams.d0_block(["1.8.1(1.5*kWh)1.8.2(2.5*kWh)", "2.8.0(3*kWh)"]))
        )
        assert values(found.values()) == {"1.8.1": "3/2 kWh", "1.8.2": "5/2 kWh", "2.8.0": "3 kWh"}

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (telegrams.d0_block(D0_LINES).replace(b"123.4", b"123.5"), "the block check character is wrong"),
            (telegrams.d0_block(D0_LINES)[1:], "the block check character is wrong"),
            (telegrams.d0_push(D0_LINES) + b"xx", "the block check character is missing"),
            (b"/" + b"x" * 17_000, "16384 bytes without an end of a telegram"),
        ],
    )
    def test_what_is_no_block_is_not_read(self, sent: bytes, said: str) -> None:
        assert why(heard(D0Telegrams(asked=True), sent)) == said

    @pytest.mark.parametrize(
        ("sent", "greeting"),
        [
            (b"/?!\r\n/TST5METER\r\n", Greeting("5", 9_600, True)),
            (telegrams.even(b"/TST0METER\r\n"), Greeting("0", 300, True)),
            (b"/TSTBMETER\r\n", Greeting("B", 1_200, False)),
            (b"/TST METER\r\n", Greeting(" ", None, False)),
            (b"/?!\r\n/TST5MET", None),
        ],
    )
    def test_a_greeting_says_the_speed_and_the_mode(self, sent: bytes, greeting: Greeting | None) -> None:
        assert greeting_in(sent) == greeting


class TestSml:
    def test_a_frame_is_read_exactly(self) -> None:
        found = only(heard(SmlTelegrams(), b"\x1b\x1b\x00noise" + telegrams.sml_meter()))
        assert values(found.values()) == {
            "1-0:1.8.0": "6172839/5 W.h",
            "1-0:2.8.0": "27/10 W.h",
            "1-0:16.7.0": "-250 W",
        }
        assert {each.serial for each in found.values()} == {"1TST0012345678"}

    @pytest.mark.parametrize(
        ("value", "number"),
        [
            ((8, 255), 255),
            ((-8, -1), -1),
            ((16, 65_535), 65_535),
            ((-24, -8_388_608), -(2**23)),
            ((40, 2**40 - 1), 2**40 - 1),
            ((64, 2**64 - 1), 2**64 - 1),
            ((-64, -(2**63)), -(2**63)),
        ],
    )
    def test_integers_of_every_width_and_sign(self, value: tuple[int, int], number: int) -> None:
        sent = telegrams.sml([("1-0:1.8.0*255", 30, 3, value)])
        assert only(heard(SmlTelegrams(), sent))["1-0:1.8.0"].value == number * 1000

    def test_a_value_that_looks_like_an_escape_is_escaped(self) -> None:
        sent = telegrams.sml([("1-0:1.8.0*255", 30, 0, (64, 0x1B1B1B1B1A001B1B))])
        assert only(heard(SmlTelegrams(), sent))["1-0:1.8.0"].value == 0x1B1B1B1B1A001B1B

    def test_long_lists_and_entries_of_other_kinds_are_passed_over(self) -> None:
        entries = [(f"1-0:{code}.7.0*255", 33, -2, (16, code)) for code in range(31, 51)]
        sent = telegrams.sml(
            [*entries, ("1-0:96.5.0*255", None, None, [(8, 1), (8, 2)]), ("1-0:1.8.0*255", 30, 0, (8, 5))]
        )
        assert values(only(heard(SmlTelegrams(), sent)).values()) == {"1-0:1.8.0": "5 W.h"}

    def test_some_meters_compute_another_crc(self) -> None:
        sent = telegrams.sml([("1-0:1.8.0*255", 30, 0, (8, 5))], kermit=True)
        assert "1-0:1.8.0" in only(heard(SmlTelegrams("kermit"), sent))
        assert why(heard(SmlTelegrams(), sent)) == "the CRC is wrong"

    def test_a_frame_that_was_cut_off_does_not_hide_the_next(self) -> None:
        sent = telegrams.sml_meter()
        assert "1-0:1.8.0" in only(heard(SmlTelegrams(), sent[:50] + sent))

    def test_bytes_may_come_in_any_pieces(self) -> None:
        sent = telegrams.sml_meter() * 2
        assert len(heard(SmlTelegrams(), *(sent[at : at + 5] for at in range(0, len(sent), 5)))) == 2

    def test_a_serial_number_is_what_the_meter_s_face_shows(self) -> None:
        assert server_serial(telegrams.SERVER) == "1TST0012345678"
        assert server_serial(bytes.fromhex("0901FF")) == "0901FF"

    @pytest.mark.parametrize(
        "body", [b"\x76\x05", b"\x65\x00", b"\x8f\x8f\x8f\x8f\x0f", b"\x71" * 20 + b"\x00", b"\x62\x01"]
    )
    def test_a_right_crc_over_nonsense_is_said(self, body: bytes) -> None:
        body += bytes(-len(body) % 4) if body.endswith(b"\x00") else b""
        padding = -len(body) % 4
        frame = b"\x1b" * 4 + b"\x01" * 4 + body + bytes(padding) + b"\x1b" * 4 + b"\x1a" + bytes([padding])
        assert why(heard(SmlTelegrams(), frame + telegrams.x25(frame))).startswith("its CRC is right, but")
