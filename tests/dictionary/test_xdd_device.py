"""What an XDD or XDC says beside its objects: file, identity, features, commissioning, dummies, channels."""

import pytest
from dictionary.xdd_text import WORD, codes, text_of

from opendiag.dictionary.library import Library
from opendiag.dictionary.model import Commissioning
from opendiag.dictionary.xdd import parse_xml, read_identity

OBJECT = f'<CANopenObject index="2000" name="N" objectType="7" {WORD}/>'
IDENTITY = (
    '<CANopenObject index="1018" name="Identity" objectType="9">'
    + "".join(
        f'<CANopenSubObject subIndex="0{sub}" name="S" objectType="7" dataType="0007" accessType="ro"'
        f' defaultValue="{value}"/>'
        for sub, value in enumerate((4, 0x2E1, 7, 0x10001, 0))
    )
    + "</CANopenObject>"
)


def read(device="", network="", objects=OBJECT):
    return parse_xml(text_of(objects, network=network, device=device), "test.xdd")


def test_device_identity():
    dictionary = read(
        '<vendorName readOnly="true">Vendor</vendorName><vendorID>0x2E1</vendorID><productName>Drive</productName>'
        "<productID>010</productID><revisionNumber>0x10002</revisionNumber><orderNumber>O-1</orderNumber>"
        '<orderNumber>O-2</orderNumber><version versionType="SW">1.2</version><version versionType="HW">B</version>'
        '<deviceFamily><label lang="de">Antrieb</label><label lang="en">Drives</label></deviceFamily>'
        "<buildDate>2020-01-02</buildDate><productText><description>a drive</description></productText>"
    )
    device = dictionary.device
    assert not dictionary.findings
    assert (device.vendor_name, device.vendor_id, device.product_name) == ("Vendor", 0x2E1, "Drive")
    assert (device.product_code, device.revision, device.order_code) == (10, 0x10002, "O-1")
    assert device.extra == {
        "orderNumber": "O-2",
        "versionSW": "1.2",
        "versionHW": "B",
        "deviceFamily": "Drives",
        "buildDate": "2020-01-02",
    }
    assert dictionary.file.description == "a drive"


def test_what_the_identity_does_not_say_is_none():
    device = read("<vendorID/>").device
    assert device.vendor_id is device.product_code is device.revision is device.granularity is None
    assert device.boot_up_master is device.lss_supported is device.rpdo_count is None


def test_the_communication_profile_and_1018h_complete_the_identity():
    text = text_of(OBJECT + IDENTITY, device="<vendorName>V</vendorName>").replace(
        "<ApplicationLayers>", "<ApplicationLayers><identity><productID>9</productID></identity>"
    )
    device = parse_xml(text, "test.xdd").device
    assert (device.vendor_id, device.product_code, device.revision) == (0x2E1, 9, 0x10001)
    assert read_identity(text.encode(), "test.xdd") == (0x2E1, 9, 0x10001)


def test_a_zero_in_1018h_is_no_identity():
    device = read(objects=IDENTITY.replace('defaultValue="7"', 'defaultValue="0"')).device
    assert (device.vendor_id, device.product_code) == (0x2E1, None)


def test_identity_alone():
    text = text_of(OBJECT, device="<vendorID>1</vendorID><productID>2</productID>")
    assert read_identity(text, "test.xdd") == (1, 2, None)


def test_a_library_finds_an_xdd(tmp_path):
    (tmp_path / "drive.xdd").write_text(text_of(OBJECT + IDENTITY), encoding="utf-8")
    (tmp_path / "broken.xdd").write_text("<ISO15745ProfileContainer>")
    library = Library(tmp_path)
    assert library.find(0x2E1, 7, 0x10001)[0x2000, 0].name == "N"
    assert [(finding.file, finding.line) for finding in library.findings] == [(str(tmp_path / "broken.xdd"), 1)]


def test_file_info():
    text = text_of(OBJECT).replace(
        "<ProfileBody>",
        "<ProfileHeader><ProfileName>A profile</ProfileName><ProfileSource/></ProfileHeader><ProfileBody"
        ' fileName="a.xdd" fileCreator="c" fileCreationDate="2020-11-28" fileCreationTime="12:37:54" fileModifiedBy="m"'
        ' fileVersion="1.6" fileModificationDate="2021-01-02" fileModificationTime="01:02:03"'
        ' formatName="CANopen" xsi:type="q:Device" xmlns:xsi="x">',
        1,
    )
    info = parse_xml(text, "test.xdd").file
    assert (info.file_name, info.file_version, info.created_by, info.modified_by) == ("a.xdd", "1.6", "c", "m")
    assert (info.creation_date, info.creation_time) == ("2020-11-28", "12:37:54")
    assert (info.modification_date, info.modification_time) == ("2021-01-02", "01:02:03")
    assert info.extra == {"formatName": "CANopen", "ProfileName": "A profile"}


def test_a_profile_without_an_identity():
    text = text_of(OBJECT).replace("<q:DeviceIdentity></q:DeviceIdentity>", "")
    dictionary = parse_xml(text, "test.xpd")
    assert (dictionary.device.vendor_id, codes(dictionary)) == (None, ["xdd-no-device"])


def test_features():
    dictionary = read(
        network="<NetworkManagement>"
        '<CANopenGeneralFeatures granularity="8" nrOfRxPDO="4" groupMessaging="true" bootUpSlave="1"'
        ' layerSettingServiceSlave="false" selfStartingDevice="true"/>'
        '<CANopenMasterFeatures bootUpMaster="true" flyingMaster="false"/></NetworkManagement>'
    )
    device = dictionary.device
    assert not dictionary.findings
    assert (device.granularity, device.rpdo_count, device.tpdo_count, device.dynamic_channels) == (8, 4, 0, 0)
    assert (device.group_messaging, device.boot_up_slave, device.lss_supported) == (True, True, False)
    assert device.boot_up_master is True
    assert device.extra == {"selfStartingDevice": "true", "flyingMaster": "false"}


def _bit_rates(values, attributes=""):
    rates = "".join(f'<supportedBaudRate value="{value}"/>' for value in values)
    layers = (
        f"<TransportLayers><PhysicalLayer><baudRate{attributes}>{rates}</baudRate></PhysicalLayer></TransportLayers>"
    )
    return read(network=layers)


def test_bit_rates():
    dictionary = _bit_rates(
        ["1000 Kbps", "10 Kbps", "1 Mbps", "125", "250000 bit/s", "auto-baudRate"], ' defaultValue="125 Kbps"'
    )
    assert dictionary.device.bit_rates == (10, 125, 250, 1000)
    assert dictionary.device.extra == {"BaudRate_auto": "1", "defaultBaudRate": "125 Kbps"}
    assert not dictionary.findings


@pytest.mark.parametrize("value", ["fast", "0 Kbps", "20 Mbps", "500 bps", "-10 Kbps"])
def test_what_is_no_bit_rate(value):
    dictionary = _bit_rates([value])
    assert (dictionary.device.bit_rates, codes(dictionary)) == ((), ["xdd-bad-value"])


def _commissioned(attributes):
    return read(network=f"<NetworkManagement><deviceCommissioning {attributes}/></NetworkManagement>")


@pytest.mark.parametrize("node_id", ["nodeID", "NodeID"])
def test_commissioning(node_id):
    dictionary = _commissioned(
        f'{node_id}="5" nodeName="Axis 3" actualBaudRate="500 Kbps" networkNumber="2" networkName="Cell"'
        ' CANopenManager="true" place="left"'
    )
    assert dictionary.commissioning == Commissioning(5, 500, "Axis 3", 2, "Cell", True, extra={"place": "left"})
    assert (dictionary.node_id, dictionary.bit_rate, codes(dictionary)) == (5, 500, [])


def test_bit_rate_of_a_network_without_a_unit():
    assert _commissioned('nodeID="5" actualBaudRate="250"').bit_rate == 250


@pytest.mark.parametrize(
    "attributes",
    [
        'nodeID="0"',
        'nodeID="128"',
        'nodeID="five"',
        'actualBaudRate="fast"',
        'networkNumber="-1"',
        'CANopenManager="x"',
    ],
)
def test_impossible_commissioning(attributes):
    dictionary = _commissioned(attributes)
    assert codes(dictionary) == ["xdd-bad-value"]
    assert dictionary.commissioning == Commissioning(canopen_manager=False)


def test_no_commissioning():
    assert read().commissioning == Commissioning()


def test_dummies():
    entries = "".join(f'<dummy entry="{entry}"/>' for entry in ("Dummy0001=0", "Dummy0005=1", "dummy001b = 1", "X=1"))
    text = text_of(OBJECT).replace("</ApplicationLayers>", f"<dummyUsage>{entries}</dummyUsage></ApplicationLayers>")
    dictionary = parse_xml(text, "test.xdd")
    assert (dictionary.dummies, codes(dictionary)) == ({5, 0x1B}, ["xdd-bad-value"])
    assert read().dummies is None


def test_dynamic_channels_are_kept_as_cia_306_has_them():
    channels = (
        '<dynamicChannels><dynamicChannel dataType="0007" accessType="readWriteOutput" startIndex="A480"'
        ' endIndex="A4BF" maxNumber="64" addressOffset="0080"/></dynamicChannels>'
    )
    text = text_of(OBJECT).replace("</ApplicationLayers>", channels + "</ApplicationLayers>")
    assert parse_xml(text, "test.xdd").sections == {
        "DynamicChannels": {
            "NrOfSeg": "1",
            "Type1": "0x0007",
            "Dir1": "rww",
            "Range1": "0xA480-0xA4BF",
            "PPOffset1": "0x80",
            "maxNumber1": "64",
        }
    }
    assert read().sections == {}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("</ApplicationLayers>", "<moduleManagement/></ApplicationLayers>", "xdd-modules"),
        ("<q:CANopenObjectList>", '<q:CANopenObjectList mandatoryObjects="2" optionalObjects="0">', "xdd-list-count"),
        ("<ApplicationLayers>", "<ApplicationLayers><q:CANopenObjectList/>", None),
    ],
)
def test_what_is_noted_of_the_file(old, new, code):
    dictionary = parse_xml(text_of(OBJECT).replace(old, new), "test.xdd")
    assert codes(dictionary) == ([code] if code else [])
    assert list(dictionary.objects) == [0x2000]


def test_the_attributes_of_the_list_may_agree():
    text = text_of(OBJECT).replace("<q:CANopenObjectList>", '<q:CANopenObjectList manufacturerObjects="1">')
    assert not parse_xml(text, "test.xdd").findings
