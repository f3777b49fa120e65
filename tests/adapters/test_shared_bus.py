import pytest

from opendiag.adapters.shared_bus import SharedBus
from opendiag.frame import Frame


@pytest.mark.parametrize("frame", [Frame(0x123, bytes(8), dlc=11), Frame(0x123, remote=True, dlc=9)])
def test_a_frame_that_python_can_would_not_send_is_received_all_the_same(frame: Frame) -> None:
    bus = SharedBus("ours", lambda frame: None, lambda timeout_s: frame, lambda: None)
    message = bus.recv(0)
    assert message is not None
    assert (message.arbitration_id, message.is_remote_frame) == (0x123, frame.remote)
    assert len(message.data) == len(frame.data)
    bus.shutdown()
