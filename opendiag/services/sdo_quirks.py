"""How an SDO server may deviate from the standard, so that a simulated device can be as difficult as a real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SdoQuirks:
    """Each field imitates what some stacks or devices do. Without arguments: a server that does none of it.

    ``restarts_on_initiate``          a new initiate while a transfer runs begins the new one; otherwise it ends the
                                      running transfer with abort 0504 0001, as most stacks do.
    ``ignores_short_requests``        a request shorter than 8 bytes is not answered, even when it says everything.
    ``unknown_command_mux``           the object named in the abort of a command that belongs to no transfer: the
                                      one of the last request, 0000:00, or 1000:00.
    ``unsized_expedited``             expedited answers come as 42h: four bytes, and how many count is not said.
    ``empty_last_segment``            the last byte of a segmented upload comes in a segment that is not marked as
                                      the last; one without data follows.
    ``short_frames``                  answers end with their last byte that means something, not after 8 bytes.
    ``block_upload``                  "block" as asked, with the protocol switch for small objects; "switch": always
                                      a plain upload; "refuse": abort 0504 0001.
    ``read_only_as_write_only``       writing a read-only object gives 0601 0001.
    ``accepts_any_length``            data too long for an object are cut, data too short are filled with zeros.
    ``missing_sub_as_missing_object`` a missing subindex gives 0602 0000.
    ``serves_after_abort``            the client's abort ends nothing: segments go on being served until something
                                      new begins.
    ``stray_segment_general_error``   a segment, or the request for one, that belongs to no transfer gives abort
                                      0800 0000 instead of 0504 0001.
    """

    restarts_on_initiate: bool = False
    ignores_short_requests: bool = False
    unknown_command_mux: Literal["last", "zero", "1000"] = "last"
    unsized_expedited: bool = False
    empty_last_segment: bool = False
    short_frames: bool = False
    block_upload: Literal["block", "switch", "refuse"] = "block"
    read_only_as_write_only: bool = False
    accepts_any_length: bool = False
    missing_sub_as_missing_object: bool = False
    serves_after_abort: bool = False
    stray_segment_general_error: bool = False


WELL_BEHAVED = SdoQuirks()
