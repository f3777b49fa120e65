"""Which gs_usb adapters are here, what they are, and which of them is meant. Nothing is claimed or started.

The requests that are used answer while Linux's own driver has the adapter.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import usb.core  # type: ignore[import-not-found, import-untyped, unused-ignore]
import usb.util  # type: ignore[import-not-found, import-untyped, unused-ignore]

from opendiag.adapters.bus import describe
from opendiag.adapters.gs_usb_codec import BtConst, DeviceConfig, Feature, Request, unpack_bt_const
from opendiag.adapters.udev import BOOT_LOADERS, GS_USB
from opendiag.adapters.usb_stream import ask, cannot_open, failed, is_busy, is_denied, is_gone, tell

#: Names by which adapters are opened: all, only CANtacts, all others.
FAMILIES = ("gs_usb", "cantact", "candlelight")
#: Where Linux describes USB devices.
SYS_USB = Path("/sys/bus/usb/devices")
#: DEVICE_CONFIG is about the device; Linux sends this where others have the channel.
_WHOLE_DEVICE = 1
#: What this program has open: Windows lets nobody look at it a second time. By backend, place and address.
_held: dict[tuple[int, str, int], GsUsbInfo] = {}
_NO_LIBUSB = "libusb is not installed: pip install libusb-package"


@dataclass(frozen=True)
class GsUsbInfo:
    """An adapter that is plugged in.

    ``path`` is bus and ports as in "1-2.3": the same after plugging it in again at the same place. Texts and numbers
    are None where they could not be read, or where it has none. ``kernel_driver``: Linux's own driver has it, and
    ``kernel_interfaces`` are its CAN interfaces, in the order of its channels. ``accessible``: it answers;
    ``problem`` is a sentence about why not, with what to do.
    """

    path: str
    bus: int
    address: int
    vid: int
    pid: int
    manufacturer: str | None
    product: str | None
    serial: str | None
    kind: str
    config: DeviceConfig | None = None
    constants: BtConst | None = None
    kernel_driver: bool = False
    kernel_interfaces: tuple[str, ...] = ()
    problem: str = ""
    problem_errno: int | None = None
    device: Any = field(default=None, repr=False, compare=False)

    @property
    def accessible(self) -> bool:
        return not self.problem

    @property
    def channels(self) -> int | None:
        return self.config.channels if self.config else None

    @property
    def sw_version(self) -> int | None:
        return self.config.sw_version if self.config else None

    @property
    def hw_version(self) -> int | None:
        return self.config.hw_version if self.config else None

    @property
    def clock_hz(self) -> int | None:
        return self.constants.limits.clock_hz if self.constants else None

    @property
    def features(self) -> Feature | None:
        return self.constants.feature if self.constants else None

    @property
    def fd(self) -> bool:
        return bool(self.constants and self.constants.feature & Feature.FD)

    @property
    def name(self) -> str:
        """As in "CANtact Pro at USB 1-2.3"."""
        return f"{self.kind} at USB {self.path}"

    @property
    def family(self) -> str:
        """What to write before the channel: "cantact" or "candlelight"."""
        return "cantact" if self.belongs_to("cantact") else "candlelight"

    @property
    def is_cantact_pro_2(self) -> bool:
        """Has the CANtact Pro's released firmware: the same test as in Linux's driver, no wider."""
        return (
            (self.vid, self.pid) == (0x1D50, 0x606F)
            and self.manufacturer == "LinkLayer Labs"
            and self.product == "CANtact Pro"
            and self.config is not None
            and self.config.sw_version <= 2
        )

    def belongs_to(self, family: str) -> bool:
        """An adapter whose names cannot be read may be any."""
        if family == "gs_usb":
            return True
        if self.manufacturer is self.product is None and (self.vid, self.pid) == (0x1D50, 0x606F):
            return True
        names = f"{self.manufacturer} {self.product}".lower()
        return ("cantact" in names or (self.vid, self.pid) == (0x1D50, 0x6070)) == (family == "cantact")

    def channel_name(self, number: int) -> str:
        """What opens this channel, as in "/1-2.3/1"."""
        return f"/{self.path}/{number}" if number else f"/{self.path}"

    def describe(self) -> str:
        """As in "/1-2.3 CANtact Pro, serial 0042"."""
        return f"/{self.path} {self.kind}" + (f", serial {self.serial}" if self.serial else "")


def usb_backend() -> Any:
    """The system's libusb, else the one that pip installs; None when there is neither."""
    import usb.backend.libusb1 as libusb1  # type: ignore[import-not-found, import-untyped, unused-ignore]

    backend = libusb1.get_backend()
    if backend is None:
        with contextlib.suppress(ImportError):
            import libusb_package  # type: ignore[import-not-found, import-untyped, unused-ignore]

            backend = libusb_package.get_libusb1_backend()
    return backend


def find_devices(backend: Any = None, family: str = "gs_usb") -> list[GsUsbInfo]:
    """In the order of their places, so that their numbers stay the same when they are plugged in again.

    Raise can.CanInitializationError when there is no libusb.
    """
    infos = [read_info(device) for device in usb_devices(backend, GS_USB)]
    return [info for info in infos if info.belongs_to(family)]


def usb_devices(backend: Any, identities: Any) -> list[Any]:
    """Pyusb's devices of these (vendor, product), in the order of their places; none is opened.

    Raise can.CanInitializationError when there is no libusb.
    """
    backend = backend or usb_backend()
    if backend is None:
        raise cannot_open(_NO_LIBUSB)

    def wanted(device: Any) -> bool:
        return (device.idVendor, device.idProduct) in identities

    try:
        found = list(usb.core.find(find_all=True, backend=backend, custom_match=wanted))
    except usb.core.NoBackendError as error:
        raise cannot_open(_NO_LIBUSB) from error
    except usb.core.USBError as error:
        raise cannot_open(f"USB cannot be looked at: {describe(error)}", error.errno) from error
    return sorted(found, key=lambda device: (device.bus or 0, device.port_numbers or (), device.address or 0))


def path_of(device: Any) -> str:
    """Bus and ports as Linux writes them, "1-2.3"; bus and address as in "1@7" where the ports are unknown."""
    ports = ".".join(str(port) for port in device.port_numbers or ())
    return f"{device.bus}-{ports}" if ports else f"{device.bus}@{device.address}"


def read_info(device: Any) -> GsUsbInfo:
    """Opens and closes the device. Raises nothing: what does not work is the info's ``problem``."""
    path = path_of(device)
    config, constants, problem, number, driver = None, None, "", None, False
    try:
        config = DeviceConfig.unpack(ask(device, Request.DEVICE_CONFIG, _WHOLE_DEVICE, 12))
        constants = read_constants(device, 0)
        driver = has_kernel_driver(device)
    except (usb.core.USBError, NotImplementedError, ValueError) as error:
        problem, number = sentence(error), errno_of(error)
    texts = {name: _text(device, name, path) for name in ("manufacturer", "product", "serial")}
    with contextlib.suppress(usb.core.USBError, NotImplementedError):
        usb.util.dispose_resources(device)
    held = _held.get(_key(device))
    if problem and held is not None:
        return replace(held, device=device)
    return GsUsbInfo(
        path=path,
        bus=device.bus or 0,
        address=device.address or 0,
        vid=device.idVendor,
        pid=device.idProduct,
        kind=_kind(device, texts["product"]),
        config=config,
        constants=constants,
        kernel_driver=driver,
        kernel_interfaces=_kernel_interfaces(device, path) if driver or problem else (),
        problem=problem,
        problem_errno=number,
        device=device,
        **texts,
    )


def hold(info: GsUsbInfo, held: bool) -> None:
    """Whether this program has it open."""
    if held:
        _held[_key(info.device)] = info
    else:
        _held.pop(_key(info.device), None)


def _key(device: Any) -> tuple[int, str, int]:
    return id(device.backend), path_of(device), device.address or 0


def read_constants(device: Any, channel: int) -> BtConst:
    """What a channel can do; the longer form is asked for only where it is announced.

    Raise USBError, ValueError.
    """
    constants = unpack_bt_const(ask(device, Request.BT_CONST, channel, 40))
    if constants.feature & Feature.FD and constants.feature & Feature.BT_CONST_EXT:
        constants = unpack_bt_const(ask(device, Request.BT_CONST_EXT, channel, 72))
    return constants


def has_kernel_driver(device: Any) -> bool:
    try:
        return bool(device.is_kernel_driver_active(0))
    except NotImplementedError:  # Windows, macOS: there is none to be in the way
        return False


def sentence(error: BaseException) -> str:
    """What is wrong with a device that cannot be opened or claimed, and what to do."""
    if isinstance(error, NotImplementedError):
        return "Windows has another driver than WinUSB for it: give it WinUSB with Zadig (zadig.akeo.ie)"
    if is_denied(error):
        if sys.platform == "win32":
            return "another program has it open"
        return "no permission to use it: `opendiag udev` prints the rules that give it"
    if is_busy(error):
        return "another program has it open, or Linux's own driver does"
    if is_gone(error):
        return "it was unplugged just now"
    return f"it does not answer as a gs_usb adapter does: {describe(error)}"


def errno_of(error: BaseException) -> int | None:
    """Also where only libusb's own number is known (Windows)."""
    for test, number in ((is_denied, errno.EACCES), (is_busy, errno.EBUSY), (is_gone, errno.ENODEV)):
        if test(error):
            return number
    return getattr(error, "errno", None)


def _text(device: Any, name: str, path: str) -> str | None:
    """Without permission Linux does not let us ask the device, but knows the answer."""
    try:
        text = getattr(device, "serial_number" if name == "serial" else name)
        return str(text) if text else None
    except (usb.core.USBError, NotImplementedError, ValueError):
        return _read(_sys_path(device, path) / name) or None


def _sys_path(device: Any, path: str) -> Path:
    """A path that does not exist where Linux means another device by it."""
    place = SYS_USB / path
    same = _read(place / "busnum") == str(device.bus) and _read(place / "devnum") == str(device.address)
    return place if same else Path("/nonexistent")


def _kernel_interfaces(device: Any, path: str) -> tuple[str, ...]:
    place = _sys_path(device, path) / f"{path}:1.0" / "net"
    try:
        names = [entry.name for entry in place.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(names, key=lambda name: (_read(place / name / "dev_id"), name)))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _kind(device: Any, product: str | None) -> str:
    key = (device.idVendor, device.idProduct)
    name = (product or "").lower()
    for part, kind in (
        ("cantact pro", "CANtact Pro"),
        ("cantact", "CANtact"),
        ("canable", "CANable"),
        ("candlelight", "candleLight"),
        ("cannectivity", "CANnectivity"),
    ):
        if part in name:
            return kind
    return product if product and key == (0x1D50, 0x606F) else GS_USB.get(key, "gs_usb adapter")


# --- which one


def choose(channel: int | str, family: str = "gs_usb", backend: Any = None) -> tuple[GsUsbInfo, int]:
    """The adapter and the number of its channel, for what a user wrote: index, serial number or place, "/channel".

    Raise can.CanInitializationError, which lists what is here.
    """
    wanted, number = parse_channel(channel)
    infos = find_devices(backend, family)
    if not infos:
        raise cannot_open(_nothing_here(family, backend), errno.ENODEV)
    found = _matching(wanted, infos)
    here = "; ".join(f"{index}: {info.describe()}" for index, info in enumerate(infos))
    if not found:
        raise cannot_open(f"there is no {family} adapter {_wanted(wanted)}; here are {here}", errno.ENODEV)
    if len(found) > 1:
        places = " or ".join(info.channel_name(number) for info in found)
        raise cannot_open(f"{len(found)} adapters have the serial number {wanted}: choose by place, {places}")
    info = found[0]
    if info.problem:
        raise cannot_open(f"{info.name}: {info.problem}", info.problem_errno)
    if info.channels is not None and number >= info.channels:
        last = info.channels - 1
        has = "one channel, 0" if not last else f"the channels 0 to {last}"
        raise cannot_open(f"{info.name} has {has}; there is no channel {number}", errno.ENODEV)
    return info, number


def parse_channel(channel: int | str) -> tuple[str, int]:
    """Device and number: "SERIAL/1" is "SERIAL", 1 and "/1-2.3/1" is "/1-2.3", 1. Raise can.CanInitializationError."""
    text = str(channel).strip()
    head = "/" if text.startswith("/") else ""
    device, _, number = text[len(head) :].partition("/")
    if number and not (number.isascii() and number.isdecimal() and len(number) < 4):
        raise cannot_open(
            f"{text!r}: {number!r} is no channel number; expected DEVICE/N, as in 0/1, SERIAL/1 or /1-2.3/1"
        )
    if not device and (head or number):
        raise cannot_open(f"{text!r} names no adapter; expected one as in 0/1, SERIAL/1 or /1-2.3/1")
    return head + (device or "0"), int(number or 0)


def _matching(wanted: str, infos: list[GsUsbInfo]) -> list[GsUsbInfo]:
    if wanted.startswith("/"):
        return [info for info in infos if info.path == wanted[1:]]
    by_serial = [info for info in infos if info.serial == wanted]
    if not by_serial and wanted.isascii() and wanted.isdecimal() and len(wanted) < 4:
        return infos[int(wanted) : int(wanted) + 1]
    return by_serial


def _wanted(wanted: str) -> str:
    if wanted.startswith("/"):
        return f"at {wanted}"
    return f"number {wanted}" if wanted.isdecimal() and len(wanted) < 4 else f"with the serial number {wanted}"


def _nothing_here(family: str, backend: Any) -> str:
    waiting = usb_devices(backend, BOOT_LOADERS)
    if waiting:
        place = path_of(waiting[0])
        return (
            f"there is no {family} adapter here, but a boot loader (DFU) at USB {place} that waits for firmware: "
            "if it is the adapter, plug it in again without pressing its button"
        )
    return f"there is no {family} adapter here: is it plugged in? `opendiag ports` lists what there is"


# --- what needs no open channel


def identify(info: GsUsbInfo, on: bool) -> None:
    """Let its lights blink. Raise can.CanOperationError if it cannot."""
    _need(info, Feature.IDENTIFY, "blink")
    if (info.sw_version or 0) <= 1:
        raise failed(f"{info.name}: its firmware (version {info.sw_version}) is too old to blink")
    with _requests(info) as device:
        tell(device, Request.IDENTIFY, 0, int(on).to_bytes(4, "little"))


def termination(info: GsUsbInfo, channel: int, on: bool | None = None) -> bool:
    """Switch the channel's 120 ohm resistor if asked to, and say whether it is on.

    Raise can.CanOperationError if it has none that can be switched.
    """
    _need(info, Feature.TERMINATION, "switch its termination")
    if not 0 <= channel < (info.channels or 1):
        raise failed(f"{info.name} has no channel {channel}")
    with _requests(info) as device:
        if on is not None:
            tell(device, Request.SET_TERMINATION, channel, int(on).to_bytes(4, "little"))
        return bool(int.from_bytes(ask(device, Request.GET_TERMINATION, channel, 4), "little"))


def _need(info: GsUsbInfo, feature: Feature, what: str) -> None:
    if info.problem:
        raise failed(f"{info.name}: {info.problem}", info.problem_errno)
    if not (info.features or Feature(0)) & feature:
        raise failed(f"{info.name} cannot {what}")


@contextlib.contextmanager
def _requests(info: GsUsbInfo) -> Any:
    try:
        yield info.device
    except (usb.core.USBError, NotImplementedError, ValueError) as error:
        raise failed(f"{info.name}: {sentence(error)}", errno_of(error)) from error
    finally:
        with contextlib.suppress(usb.core.USBError, NotImplementedError):
            usb.util.dispose_resources(info.device)
