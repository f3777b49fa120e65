"""Every real EDS and DCF there is: read, written, read again."""

from collections import Counter
from dataclasses import replace

import pytest

from opendiag.dictionary import bundled_names, load, parse
from opendiag.dictionary.datatypes import integer_range
from opendiag.dictionary.eds_spelling import one_line
from opendiag.dictionary.eds_write import dcf_text, eds_text, write
from opendiag.dictionary.model import Object, ObjectType, Variable

#: What the canonical form cannot keep, and why.
COMPACT_AND_WRITTEN_OUT = "an array that has CompactSubObj and a section for each member: each is described once"
EXCEPTIONS = {"full_features__dborgards_eds-dcf-net.dcf": COMPACT_AND_WRITTEN_OUT}


def files(corpus):
    found = sorted(p for p in (corpus / "dictionaries").iterdir() if p.suffix.lower() in (".eds", ".dcf"))
    assert len(found) >= 189
    return found


def text_of(dictionary, **options):
    return (dcf_text if dictionary.document.kind == "dcf" else eds_text)(dictionary, **options)


def bare(dictionary, compact=True):
    """Without lines, findings and the text; ``compact``: with what is only a matter of form."""

    def of(objects):
        return {index: plain(found) for index, found in objects.items()}

    def plain(found):
        members = {sub: replace(member, line=None) for sub, member in found.members.items()}
        return replace(found, line=None, members=members, compact=found.compact if compact else 0)

    modules = {n: replace(m, fixed=of(m.fixed), extends=of(m.extends)) for n, m in dictionary.modules.items()}
    return replace(dictionary, name="", findings=[], objects=of(dictionary.objects), modules=modules, document=None)


@pytest.mark.corpus
def test_what_was_not_changed_is_written_byte_by_byte(corpus, tmp_path):
    for path in files(corpus):
        copy = tmp_path / path.name
        write(load(path), copy)
        assert copy.read_bytes() == path.read_bytes(), path.name
        copy.unlink()


@pytest.mark.corpus
def test_the_canonical_form_says_the_same_and_nothing_odd_is_new(corpus):
    used = set()
    for path in files(corpus):
        dictionary = load(path)
        text = text_of(dictionary, canonical=True)
        again = parse(text, "canonical")
        if bare(again) != bare(dictionary):
            assert path.name in EXCEPTIONS, path.name
            used.add(path.name)
            assert bare(again, compact=False) == bare(dictionary, compact=False), path.name
        assert len(again.findings) <= len(dictionary.findings), path.name
        worst = Counter(finding.severity for finding in again.findings)
        assert all(worst[s] <= sum(f.severity >= s for f in dictionary.findings) for s in worst), path.name
        assert text_of(again, canonical=True) == text, path.name
    assert used == set(EXCEPTIONS)


def some_variable(dictionary):
    """One with a number for a default that stands in a section of its own, as far back as possible."""
    return max(
        v
        for v in (
            (v.index, v.subindex)
            for v in dictionary.variables()
            if v.line is not None
            and isinstance(v.default, int)
            and not isinstance(v.default, bool)
            and integer_range(v.data_type)
            and not dictionary.objects[v.index].compact
        )
    )


@pytest.mark.corpus
def test_one_changed_value_is_one_changed_line(corpus):
    for path in files(corpus):
        dictionary = load(path)
        index, subindex = some_variable(dictionary)
        members = dictionary.objects[index].members
        old = members[subindex]
        high = integer_range(old.data_type)[1]
        members[subindex] = replace(old, default=old.default - 1 if old.default == high else old.default + 1)
        text = text_of(dictionary)
        before, after = dictionary.document.text.split("\n"), text.split("\n")
        assert len(before) == len(after), path.name
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1, path.name
        assert bare(parse(text, "x")) == bare(dictionary), path.name


@pytest.mark.corpus
def test_an_object_comes_and_another_goes(corpus):
    for path in files(corpus):
        dictionary = load(path)
        gone, _ = some_variable(dictionary)
        new = next(index for index in range(0x2000, 0x6000) if index not in dictionary.objects)
        del dictionary.objects[gone]
        dictionary.objects[new] = Object(new, "New", ObjectType.VAR, {0: Variable(new, 0, "New", 5, "rw", default=3)})
        again = parse(text_of(dictionary), "x")
        assert gone not in again.objects, path.name
        if again.device.compact_pdo != dictionary.device.compact_pdo:  # one of those that the mask describes is gone
            assert again.device.compact_pdo == 0 and 0x1400 <= gone < 0x1C00, path.name
            again.device = replace(again.device, compact_pdo=dictionary.device.compact_pdo)
        assert bare(again) == bare(dictionary), path.name
        codes = {finding.code for finding in again.findings} - {finding.code for finding in dictionary.findings}
        assert not codes, (path.name, codes)


@pytest.mark.corpus
def test_from_eds_to_dcf_and_from_dcf_to_eds(corpus):
    """Defaults stay, configured values come and go, and nothing odd is new."""
    for path in files(corpus):
        dictionary = load(path)
        text, odd = dcf_text(dictionary, node_id=5), len(dictionary.findings)
        dcf = parse(text, "x")
        assert dcf.node_id == 5 and len(dcf.findings) <= odd, path.name
        assert bare(dcf, compact=False).objects == bare(dictionary, compact=False).objects, path.name
        eds = parse(eds_text(dcf), "x")
        assert eds.document.kind == "eds" and len(eds.findings) <= odd, path.name
        for found, told in zip(dictionary, eds, strict=True):
            for sub, member in found.members.items():
                expected = replace(member, value=None, denotation="", line=None)
                assert replace(told.members[sub], line=None) == expected, (path.name, member)


def said_in_an_eds(dictionary):
    """Without names of bits and values, with texts of one line: an EDS has no place for more."""
    told = bare(dictionary)
    for found in told.objects.values():
        found.extra = {key: one_line(text) for key, text in found.extra.items()}
        for sub, member in found.members.items():
            extra = {key: one_line(text) for key, text in member.extra.items()}
            found.members[sub] = replace(member, source="eds", bits={}, values={}, extra=extra)
    return told


@pytest.mark.corpus
def test_an_xdd_becomes_an_eds_and_an_xdc_a_dcf(corpus):
    paths = [p for p in (corpus / "dictionaries").iterdir() if p.suffix.lower() in (".xdd", ".xdc", ".xpd")]
    assert len(paths) >= 14
    for path in paths:
        dictionary = load(path)
        again = parse((eds_text if dictionary.node_id is None else dcf_text)(dictionary), "x")
        assert said_in_an_eds(again) == said_in_an_eds(dictionary), path.name
        assert len(again.findings) <= len(dictionary.findings), path.name


@pytest.mark.parametrize("name", bundled_names())
def test_our_own_files_are_in_the_canonical_form_in_what_they_say(name):
    dictionary = load(name)
    assert eds_text(dictionary) == dictionary.document.text
    again = parse(eds_text(dictionary, canonical=True), name)
    assert bare(again) == bare(dictionary) and not again.findings
