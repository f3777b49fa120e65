"""Small XDD texts: an object list, and the device profile behind it."""

from opendiag.dictionary.xdd import parse_xml

HEAD = '<ISO15745ProfileContainer xmlns="http://www.canopen.org/xml/1.1" xmlns:q="http://www.canopen.org/xml/1.1">\n'


def text_of(objects, process="", network="", device=""):
    """The first object stands in line 7 when ``process`` and ``device`` have no line of their own."""
    return (
        f"{HEAD}<ISO15745Profile>\n<ProfileBody><q:DeviceIdentity>{device}</q:DeviceIdentity>"
        f"<q:ApplicationProcess>{process}</q:ApplicationProcess></ProfileBody>\n</ISO15745Profile>\n"
        f"<ISO15745Profile><ProfileBody><ApplicationLayers>\n<q:CANopenObjectList>\n{objects}\n</q:CANopenObjectList>"
        f"</ApplicationLayers>{network}</ProfileBody></ISO15745Profile></ISO15745ProfileContainer>"
    )


def read(objects, process="", **parts):
    return parse_xml(text_of(objects, process, **parts), "test.xdd")


def codes(dictionary):
    return [finding.code for finding in dictionary.findings]


def one(attributes, parameter="", types="", templates=""):
    """The dictionary and the variable 2000:00, which refers to the parameter "p"."""
    reference = 'uniqueIDRef="p" ' if parameter else ""
    process = (
        f"<q:dataTypeList>{types}</q:dataTypeList><q:templateList>{templates}</q:templateList>"
        f"<q:parameterList>{parameter}</q:parameterList>"
    )
    dictionary = read(f'<CANopenObject index="2000" name="N" objectType="7" {reference}{attributes}/>', process)
    return dictionary, dictionary[0x2000, 0]


WORD = 'dataType="0006" accessType="rw"'
PARAMETER = '<q:parameter uniqueID="p" access="readWrite"{}>{}</q:parameter>'


#: An array "pa" of INT and a structure "ps".
STRUCTURED = (
    '<q:dataTypeList><q:array name="A" uniqueID="a"><q:subrange lowerLimit="0" upperLimit="1"/><INT/></q:array>'
    '<q:struct name="S" uniqueID="s"><q:varDeclaration name="Part" uniqueID="v"><UDINT/></q:varDeclaration></q:struct>'
    '</q:dataTypeList><q:parameterList><q:parameter uniqueID="pa"><label lang="en">An array</label>'
    '<description lang="en">of two</description><q:dataTypeIDRef uniqueIDRef="a"/></q:parameter>'
    '<q:parameter uniqueID="ps"><q:dataTypeIDRef uniqueIDRef="s"/></q:parameter></q:parameterList>'
)
