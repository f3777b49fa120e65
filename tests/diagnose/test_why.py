"""Why a node did not answer: the twelve causes, each on a bus that shows it, and the cases that only look like one."""

import pytest

from opendiag.diagnose import codes
from opendiag.diagnose.watch import BusWatch
from opendiag.diagnose.why import AdapterFacts, why_no_answer, why_protocol
from opendiag.errors import SdoAborted, SdoProtocolError
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.services.sdo_channel import SdoChannel

NODE = 5
CHANNEL = SdoChannel.default(NODE)
READ_6041 = bytes.fromhex("4041600000000000")
ANSWER_6041 = bytes.fromhex("4B41600027020000")
TIMED_OUT = bytes.fromhex("8041600000000405")
STOPPED, OPERATIONAL, PRE_OPERATIONAL, BOOT_UP = b"\x04", b"\x05", b"\x7f", b"\x00"
NO_ACK = Frame(0x020, bytes(8), error=True)
STUFF = Frame(0x088, bytes([0, 0, 0x04, 0, 0, 0, 0, 0]), error=True)
FORM = Frame(0x088, bytes([0, 0, 0x02, 0, 0, 0, 0, 0]), error=True)
BUS_OFF = Frame(0x040, bytes(8), error=True)
CAN0 = AdapterFacts(name="can0", bit_rate=500_000)


class Bus:
    """A script of what happens on a bus, in any order; node 5 is asked at t = 10, and why it is silent at 10.5."""

    def __init__(self, *expected):
        self.expected = (NODE, *expected)
        self.script = []

    def do(self, time, what):
        self.script.append((time, what))
        return self

    def hear(self, can_id, data, *times):
        for time in times:
            self.do(time, lambda watch, at=time: watch.received(Frame(can_id, data), at))
        return self

    def beats(self, node_id, state, until=10.5, period=1.0):
        return self.hear(0x700 + node_id, state, *(period * (n + 1) for n in range(int(until / period))))

    def error(self, frame, *times):
        for time in times:
            self.do(time, lambda watch, at=time: watch.received(frame, at))
        return self

    def ask(self, time=10.0, data=READ_6041, confirmed=None):
        return self.do(time, lambda watch: watch.sent(CHANNEL.request(data), time, confirmed))

    def give_up(self, time=10.5):
        return self.ask(time, TIMED_OUT)

    def refuse(self, time, reason):
        return self.do(time, lambda watch: watch.send_failed(reason, time))

    def server(self, request, response):
        return self.do(0.0, lambda watch: watch.sdo_server_configured(NODE, request, response))

    def late(self, time, by):
        return self.do(time, lambda watch: watch.late_answer(CHANNEL, by, time))

    @property
    def watch(self):
        """A new one that has heard it all, in the order of time."""
        watch = BusWatch(started_at=0.0)
        for node_id in self.expected:
            watch.expect(node_id)
        for _, what in sorted(self.script, key=lambda entry: entry[0]):
            what(watch)
        return watch

    def why(self, adapter=CAN0, asked_at=10.0, now=10.5):
        return why_no_answer(self.watch, CHANNEL, 0x6041, 0, asked_at, now, adapter)


def got(findings):
    return [finding.code for finding in findings]


# --- the twelve ------------------------------------------------------------------------------------------------------


def wrong_node_id():
    return Bus().beats(7, OPERATIONAL).ask().why()


def stopped():
    return Bus().beats(NODE, STOPPED).beats(7, OPERATIONAL).ask().why()


def fell_silent():
    return Bus(7).beats(NODE, OPERATIONAL, until=3).beats(7, OPERATIONAL).ask().why()


def never_there():
    return Bus(7).beats(7, OPERATIONAL).ask().why()


def empty():
    return Bus().ask().why()


def nobody_acknowledges():
    return Bus().ask().error(NO_ACK, *(10 + n / 100 for n in range(1, 50))).why()


def wrong_bit_rate():
    return Bus().error(STUFF, 1.0, 2.0).error(FORM, 3.0).ask().error(NO_ACK, 10.1).why()


def other_cob_id():
    return Bus().beats(NODE, OPERATIONAL).ask().hear(0x5F5, ANSWER_6041, 10.02).why()


def late():
    bus = Bus().beats(NODE, OPERATIONAL).ask(7.0).give_up(7.5).hear(0x585, ANSWER_6041, 8.0).late(8.0, by=0.5)
    return bus.ask(10.0).give_up(10.5).why()


def listen_only():
    adapter = AdapterFacts(name="can0", listen_only=True, sent_ok=False)
    return Bus().beats(7, OPERATIONAL).beats(NODE, STOPPED).why(adapter)


def channel_disabled():
    return Bus().beats(NODE, OPERATIONAL).server(0x8000_0605, 0x8000_0585).ask().why()


def other_master():
    bus = Bus().beats(NODE, OPERATIONAL).ask()
    return bus.hear(0x605, bytes.fromhex("4064600000000000"), 9.9, 10.1, 10.3).why()


def toggle_fault():
    bus = Bus().beats(NODE, OPERATIONAL).ask()
    what = "two segments with the same toggle bit and different data"
    return bus.do(10.2, lambda watch: watch.protocol_fault(CHANNEL, what, 10.2)).why()


def reset_in_mid_transfer():
    return Bus().beats(NODE, OPERATIONAL, until=10).ask().hear(0x705, BOOT_UP, 10.3).why()


TWELVE = [
    (wrong_node_id, codes.WRONG_NODE_ID, "node 7 (heartbeat, OPERATIONAL) is on the bus"),
    (stopped, codes.NODE_STOPPED, "last heard 500 ms ago (heartbeat, STOPPED): a stopped node does not answer SDO"),
    (fell_silent, codes.NODE_ABSENT, "last heard 7.5 s ago (heartbeat, OPERATIONAL; heartbeat every 1.0 s until then)"),
    (never_there, codes.NODE_ABSENT, "never heard in 10.5 s. The bus is alive: node 7"),
    (empty, codes.BUS_EMPTY, "Nothing was heard on can0 at 500 kbit/s in 10.5 s: no other device"),
    (nobody_acknowledges, codes.BUS_EMPTY, "in 10.5 s, and nobody acknowledges what we send"),
    (wrong_bit_rate, codes.BIT_RATE, "only errors (1 x form error, 2 x bit stuffing error)"),
    (other_cob_id, codes.OTHER_COB_ID, "came on CAN-ID 5F5h, 20 ms after the request; it was expected on 585h"),
    (late, codes.LATE, "1 answer came after the time-out of 500 ms, up to 500 ms after it"),
    (listen_only, codes.LISTEN_ONLY, "can0 is in listen-only mode: no request left it"),
    (channel_disabled, codes.CHANNEL_DISABLED, "bit 31 is set in 1200:01 and 1200:02 (from its dictionary)"),
    (other_master, codes.OTHER_MASTER, "3 requests on 605h not sent by us, the last 200 ms ago"),
    (toggle_fault, codes.TOGGLE, "The toggle bit did not alternate in the transfer of 6041:00"),
    (reset_in_mid_transfer, codes.NODE_RESET, "restarted (boot-up 200 ms ago), 300 ms after the request"),
]


@pytest.mark.parametrize(("play", "code", "words"), TWELVE, ids=[row[0].__name__ for row in TWELVE])
def test_each_cause_is_named_first(play, code, words):
    findings = play()
    assert got(findings)[0] == code
    assert (
        words.replace("500 ms", "0.5 s").replace("200 ms", "0.2 s").replace("300 ms", "0.3 s") in findings[0].sentence
    )
    assert findings[0].advice and findings[0].severity is Severity.ERROR
    assert len(set(got(findings))) == len(findings)


def test_all_twelve_are_in_the_table():
    assert len({code for _, code, _ in TWELVE}) == 12


def test_the_advice_says_which_time_out_would_do():
    assert late()[0].advice == "A time-out of 2 s would do."


# --- what lies between us and the bus comes first ---------------------------------------------------------------------


def test_listen_only_is_named_alone_and_before_bus_off():
    findings = Bus().error(STUFF, 1.0).error(BUS_OFF, 2.0).why(AdapterFacts(listen_only=True, bus_state="bus-off"))
    assert got(findings) == [codes.LISTEN_ONLY]


def test_bus_off():
    bus = Bus().beats(NODE, STOPPED, until=10).error(BUS_OFF, 10.2)
    assert got(bus.why()) == [codes.BUS_OFF]
    assert "bus-off 0.3 s ago" in bus.why()[0].sentence
    assert got(Bus().why(AdapterFacts(bus_state="BUS_OFF"))) == [codes.BUS_OFF]


@pytest.mark.parametrize("after", ["restarted", "frame", "state"])
def test_a_bus_off_that_is_over_is_no_cause(after):
    bus = Bus().error(BUS_OFF, 3.0)
    if after == "restarted":
        bus.error(Frame(0x100, bytes(8), error=True), 4.0)
    if after == "frame":
        bus.beats(NODE, OPERATIONAL)
    adapter = AdapterFacts(bus_state="error-active" if after == "state" else None)
    assert codes.BUS_OFF not in got(bus.why(adapter))


def test_a_bus_off_without_a_single_valid_frame_comes_of_the_bit_rate():
    assert got(Bus().error(STUFF, 1.0, 1.1).error(BUS_OFF, 1.2).why()) == [codes.BIT_RATE, codes.BUS_OFF]


def test_errors_between_valid_frames_are_not_the_bit_rate():
    bus = Bus().beats(NODE, OPERATIONAL).error(STUFF, 9.5, 10.2).ask()
    assert got(bus.why()) == [codes.SILENT]


def test_errors_that_replace_the_frames_are_said_so():
    finding = Bus().beats(NODE, OPERATIONAL, until=5).error(FORM, 9.0, 10.2).ask().why()[0]
    assert finding.code == codes.BIT_RATE
    assert "until 5.5 s ago, since then only errors" in finding.sentence


def test_a_high_receive_error_counter_is_enough_where_the_driver_tells_no_more():
    assert got(Bus().ask().why(AdapterFacts(rx_errors=128)))[0] == codes.BIT_RATE
    assert got(Bus().ask().why(AdapterFacts(rx_errors=3)))[0] == codes.BUS_EMPTY
    passive = Frame(0x004, bytes([0, 0x10, 0, 0, 0, 0, 0, 0]), error=True)
    assert got(Bus().ask().error(passive, 10.1).why())[0] == codes.BIT_RATE


def test_transmit_error_passive_alone_means_that_nobody_acknowledges():
    passive = Frame(0x204, bytes([0, 0x20, 0, 0, 0, 0, 128, 0]), error=True)
    findings = Bus().ask().error(passive, 10.1).why()
    assert got(findings)[0] == codes.BUS_EMPTY
    assert "error counters: transmit 128, receive 0" in findings[0].evidence


def test_a_missing_acknowledge_that_drivers_give_as_a_bit_error():
    at_acknowledge_slot = Frame(0x088, bytes([0, 0, 0x08, 0x19, 0, 0, 0, 0]), error=True)
    assert got(Bus().ask().error(at_acknowledge_slot, 10.1, 10.2).why())[0] == codes.BUS_EMPTY


def test_a_bus_that_was_alive_and_lost_everybody():
    findings = Bus(7).beats(NODE, OPERATIONAL, until=4).beats(7, OPERATIONAL, until=4).ask().why()
    assert got(findings)[0] == codes.BUS_EMPTY
    assert "was alive until 6.5 s ago" in findings[0].sentence


def test_the_only_node_of_a_bus_is_absent_unless_nobody_acknowledges():
    bus = Bus().beats(NODE, OPERATIONAL, until=4).ask()
    assert got(bus.why()) == [codes.NODE_ABSENT]
    assert got(bus.error(NO_ACK, 10.1).why())[0] == codes.BUS_EMPTY


def test_a_quiet_bus_without_heartbeats_is_not_an_empty_one():
    bus = Bus().ask(3.0).hear(0x585, ANSWER_6041, 3.01).ask()
    findings = bus.why()
    assert got(findings) == [codes.NODE_ABSENT]
    assert "last heard 7.5 s ago (SDO response)" in findings[0].sentence


def test_somebody_who_acknowledges_is_there():
    bus = Bus().ask(confirmed=True)
    assert got(bus.why()) == [codes.NODE_ABSENT]
    assert "acknowledged, so another device is on the bus" in bus.why()[0].sentence
    assert got(Bus().ask().why(AdapterFacts(sent_ok=True))) == [codes.NODE_ABSENT]


def test_an_old_acknowledge_says_nothing_of_this_request():
    assert got(Bus().ask(2.0, confirmed=True).ask(10.0).why())[0] == codes.BUS_EMPTY


def test_the_adapter_refused_the_frame():
    bus = Bus().beats(NODE, OPERATIONAL).refuse(10.1, "no buffer space available")
    findings = bus.why()
    assert got(findings) == [codes.NOT_SENT]
    assert "no buffer space available." in findings[0].sentence
    assert got(bus.why(asked_at=10.2)) == [codes.SILENT]


def test_a_refused_frame_on_a_bus_where_nothing_was_heard():
    bus = Bus().refuse(10.1, "network is down")
    assert got(bus.why()) == [codes.NOT_SENT, codes.BUS_EMPTY]
    bus.error(NO_ACK, 10.2)
    assert got(bus.why()) == [codes.BUS_EMPTY, codes.NOT_SENT]


def test_frames_come_in_and_nobody_acknowledges_ours():
    bus = Bus().beats(NODE, OPERATIONAL).ask().error(NO_ACK, *(10 + n / 100 for n in range(1, 50)))
    findings = bus.why()
    assert got(findings) == [codes.NOT_SENT]
    assert "not acknowledged" in findings[0].sentence
    assert got(bus.why(AdapterFacts(sent_ok=True))) == [codes.SILENT]


def test_a_node_that_came_up_while_nobody_acknowledged():
    bus = Bus().ask().error(NO_ACK, 10.01, 10.1, 10.2).hear(0x705, BOOT_UP, 10.3)
    assert got(bus.why()) == [codes.NODE_RESET]


# --- the node ---------------------------------------------------------------------------------------------------------


def test_a_boot_up_before_the_request_is_no_reset():
    bus = Bus().hear(0x705, BOOT_UP, 9.9).hear(0x705, PRE_OPERATIONAL, 10.2).ask()
    assert got(bus.why()) == [codes.SILENT]


def test_a_reset_that_was_ordered_after_the_request_counts_without_a_boot_up():
    bus = Bus().beats(NODE, OPERATIONAL, until=10).ask().hear(0x000, bytes([0x81, NODE]), 10.2)
    assert got(bus.why())[0] == codes.NODE_RESET
    other = Bus().beats(NODE, OPERATIONAL).ask().hear(0x000, bytes([0x81, 9]), 10.2)
    assert got(other.why()) == [codes.SILENT]
    every = Bus().beats(NODE, OPERATIONAL).ask().hear(0x000, bytes([0x82, 0]), 10.2)
    assert got(every.why())[0] == codes.NODE_RESET


def test_the_emcy_before_a_reset_is_evidence():
    bus = Bus().beats(NODE, OPERATIONAL).ask().hear(0x085, bytes.fromhex("2032040000000000"), 10.1)
    assert "EMCY 3220h" in bus.hear(0x705, BOOT_UP, 10.3).why()[0].evidence


def test_a_stopped_node_without_a_regular_heartbeat_is_stopped_and_perhaps_gone():
    findings = Bus().hear(0x705, STOPPED, 1.0).beats(7, OPERATIONAL, until=13).ask(13.0).why(asked_at=13.0, now=13.3)
    assert got(findings) == [codes.NODE_STOPPED, codes.NODE_ABSENT]
    assert "last heard 12.3 s ago (heartbeat, STOPPED): a stopped node" in findings[0].sentence
    assert findings[0].advice.startswith("Start it: ")


def test_a_stopped_node_whose_heartbeat_has_ended_is_gone():
    bus = Bus(7).beats(NODE, STOPPED, until=4).beats(7, OPERATIONAL).ask()
    assert got(bus.why()) == [codes.NODE_ABSENT, codes.NODE_STOPPED]


def test_a_stop_command_to_a_node_without_heartbeat():
    bus = Bus().ask(1.0).hear(0x585, ANSWER_6041, 1.01).hear(0x000, bytes([0x02, 0]), 2.0).ask()
    assert got(bus.why())[0] == codes.NODE_STOPPED
    assert "told to stop 8.5 s ago" in bus.why()[0].sentence
    bus.hear(0x185, bytes(8), 10.2)
    assert codes.NODE_STOPPED not in got(bus.why())


def test_a_stop_of_our_own_counts_and_a_start_ends_it():
    bus = Bus().hear(0x585, ANSWER_6041, 1.0)
    bus.do(2.0, lambda watch: watch.sent(Frame(0x000, bytes([0x02, NODE])), 2.0, None))
    assert got(bus.ask().why())[0] == codes.NODE_STOPPED
    bus.do(3.0, lambda watch: watch.sent(Frame(0x000, bytes([0x01, NODE])), 3.0, None))
    assert codes.NODE_STOPPED not in got(bus.ask().why())


def test_a_node_that_was_started_after_its_last_heartbeat_is_not_called_stopped():
    bus = Bus().hear(0x705, STOPPED, 9.0).hear(0x000, bytes([0x01, NODE]), 9.5).ask()
    assert got(bus.why()) == [codes.SILENT]


def test_a_long_heartbeat_is_not_overdue():
    bus = Bus().hear(0x705, OPERATIONAL, 1.0, 6.0).ask(10.4)
    assert got(bus.why(asked_at=10.4, now=10.9)) == [codes.SILENT]


def test_known_and_unknown_nodes_next_to_one_that_is_missing():
    bus = Bus(7).beats(7, OPERATIONAL).beats(9, PRE_OPERATIONAL).ask()
    findings = bus.why()
    assert got(findings) == [codes.NODE_ABSENT, codes.WRONG_NODE_ID]
    assert "node 9" in findings[1].sentence and "node 7" not in findings[1].sentence


def test_a_node_that_was_heard_once_has_no_wrong_number():
    bus = Bus().hear(0x585, ANSWER_6041, 1.0).beats(7, OPERATIONAL).ask()
    assert got(bus.why()) == [codes.NODE_ABSENT]


def test_many_strangers_are_listed_in_part():
    bus = Bus()
    for node_id in range(10, 20):
        bus.beats(node_id, OPERATIONAL)
    assert "node 14 (heartbeat, OPERATIONAL) and 5 more are on the bus" in bus.ask().why()[0].sentence


def test_what_others_send_to_the_node_is_not_the_node():
    bus = Bus(7).beats(7, OPERATIONAL).hear(0x205, bytes(8), 10.1).hear(0x605, READ_6041, 10.2).ask()
    assert got(bus.why()) == [codes.NODE_ABSENT, codes.OTHER_MASTER]


def test_a_living_node_without_a_reason():
    finding = Bus().beats(NODE, OPERATIONAL).ask().why()[0]
    assert (finding.code, finding.severity) == (codes.SILENT, Severity.WARNING)
    assert "alive (last heard 0.5 s ago, NMT error control, OPERATIONAL)" in finding.sentence
    assert "6041:00 in 0.5 s" in finding.sentence


# --- the channel ------------------------------------------------------------------------------------------------------


def test_a_foreign_request_long_ago_is_not_another_master():
    bus = Bus().beats(NODE, OPERATIONAL).hear(0x605, READ_6041, 1.0, 7.9).ask()
    assert got(bus.why()) == [codes.SILENT]
    assert got(bus.hear(0x605, READ_6041, 8.0).why()) == [codes.OTHER_MASTER]


def test_the_echo_of_our_own_request_is_not_another_master():
    echo = Frame(0x605, READ_6041, direction="tx")
    bus = Bus().beats(NODE, OPERATIONAL).ask().do(10.001, lambda watch: watch.received(echo, 10.001))
    assert got(bus.why()) == [codes.SILENT]


def test_foreign_requests_to_another_node_do_not_matter():
    assert got(Bus(7).beats(NODE, OPERATIONAL).hear(0x607, READ_6041, 10.1).ask().why()) == [codes.SILENT]


def test_an_answer_to_another_master_is_not_ours():
    """Another master reads the same object of node 6, on its default channel or on an unknown one."""
    bus = Bus(6).beats(NODE, OPERATIONAL).ask()
    bus.hear(0x606, READ_6041, 10.1).hear(0x586, ANSWER_6041, 10.11)
    assert got(bus.why()) == [codes.SILENT]
    bus.hear(0x6E1, READ_6041, 10.2).hear(0x5E1, ANSWER_6041, 10.21)
    assert got(bus.why()) == [codes.SILENT]


def test_an_answer_on_the_channel_of_another_node_that_nobody_asked():
    bus = Bus().beats(NODE, OPERATIONAL).ask().hear(0x586, ANSWER_6041, 10.1)
    assert got(bus.why())[0] == codes.OTHER_COB_ID


@pytest.mark.parametrize(
    ("can_id", "data", "time"),
    [
        (0x5F5, "4B64600027020000", 10.1),  # another object
        (0x5F5, "6041600000000000", 10.1),  # the answer to a write
        (0x5F5, "4B416000", 10.1),
        (0x5F5, "4B41600027020000", 9.9),  # before the request
    ],
)
def test_what_looks_like_an_answer_elsewhere_and_is_none(can_id, data, time):
    bus = Bus().beats(NODE, OPERATIONAL, until=9)
    assert got(bus.ask().hear(can_id, bytes.fromhex(data), time).why()) == [codes.SILENT]


def test_an_abort_elsewhere_is_an_answer_elsewhere():
    bus = Bus().beats(NODE, OPERATIONAL).ask().hear(0x5F5, bytes.fromhex("8041600000000206"), 10.1)
    assert got(bus.why())[0] == codes.OTHER_COB_ID


def test_other_can_ids_in_1200h():
    bus = Bus().beats(NODE, OPERATIONAL).ask()
    bus.server(0x645, 0x5C5)
    assert got(bus.why()) == [codes.OTHER_COB_ID]
    assert "1200h of node 5 names the CAN-IDs 645h / 5C5h" in bus.why()[0].sentence
    bus.server(0x605, 0x585)
    assert got(bus.why()) == [codes.SILENT]


def test_a_channel_switched_off_in_the_traffic_until_the_node_restarts():
    bus = Bus().beats(NODE, OPERATIONAL).hear(0x605, bytes.fromhex("2300120105060080"), 2.0)
    assert got(bus.ask().why()) == [codes.SILENT]  # nobody confirmed it
    bus.hear(0x585, bytes.fromhex("6000120100000000"), 2.01)
    assert got(bus.why())[0] == codes.CHANNEL_DISABLED
    assert "1200:01 (seen in the traffic)" in bus.why()[0].sentence
    bus.hear(0x705, BOOT_UP, 9.0).hear(0x705, OPERATIONAL, 10.1)
    assert got(bus.why()) == [codes.SILENT]


def test_a_value_that_was_read_counts_more_than_the_file():
    bus = Bus().beats(NODE, OPERATIONAL).server(0x8000_0605, 0x585)
    bus.hear(0x605, bytes.fromhex("4000120100000000"), 2.0).hear(0x585, bytes.fromhex("4300120105060000"), 2.01)
    assert got(bus.ask().why()) == [codes.SILENT]


def test_late_answers_of_long_ago_or_of_a_shorter_time_out_are_no_cause():
    bus = Bus().ask(1.0).give_up(1.5).hear(0x585, ANSWER_6041, 1.6).beats(NODE, OPERATIONAL)
    bus.late(1.6, by=0.1)
    assert got(bus.ask(10.0).give_up(12.0).why(now=12.0)) == [codes.SILENT]
    assert codes.LATE not in got(bus.hear(0x705, OPERATIONAL, 99.9).why(asked_at=100.0, now=100.4))


def test_a_node_that_was_always_slow_is_suspected():
    bus = Bus().beats(NODE, OPERATIONAL).ask(5.0).hear(0x585, ANSWER_6041, 5.4).ask().give_up()
    findings = bus.why()
    assert got(findings) == [codes.LATE] and findings[0].severity is Severity.WARNING
    assert findings[0].advice == "Try a time-out of 1 s."


# --- answers that break the protocol ----------------------------------------------------------------------------------


def toggle_error():
    return SdoProtocolError(NODE, 0x1008, 0, "read", "the first segment has toggle bit 1")


def test_toggle_fault_of_the_server_and_as_the_server_sees_it():
    watch = Bus().beats(NODE, OPERATIONAL).watch
    findings = why_protocol(watch, CHANNEL, toggle_error(), 10.0, 10.5)
    assert got(findings) == [codes.TOGGLE]
    assert "1008:00" in findings[0].sentence and "the first segment has toggle bit 1" in findings[0].evidence
    aborted = SdoAborted(NODE, 0x1008, 0, "read", 0x0503_0000, "toggle bit not alternated")
    assert got(why_protocol(watch, CHANNEL, aborted, 10.0, 10.5)) == [codes.TOGGLE]


def test_a_reset_and_another_master_come_before_the_toggle_fault():
    bus = Bus().beats(NODE, OPERATIONAL).hear(0x605, READ_6041, 10.1)
    assert got(why_protocol(bus.watch, CHANNEL, toggle_error(), 10.0, 10.5)) == [codes.OTHER_MASTER, codes.TOGGLE]
    bus.hear(0x705, BOOT_UP, 10.3)
    assert got(why_protocol(bus.watch, CHANNEL, toggle_error(), 10.0, 10.5))[0] == codes.NODE_RESET


def test_another_broken_rule_has_no_cause_on_the_bus():
    error = SdoProtocolError(NODE, 0x1008, 0, "read", "the server announced 9 bytes and sent 7")
    assert why_protocol(Bus().watch, CHANNEL, error, None, 10.5) == ()


def test_without_a_time_and_without_an_adapter_there_is_still_a_reason():
    assert got(why_no_answer(BusWatch(), CHANNEL, 0x1000, 0, None, 1.0)) == [codes.BUS_EMPTY]
