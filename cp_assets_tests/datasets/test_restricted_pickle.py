from __future__ import annotations

import builtins
import collections
import copyreg
import datetime
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cp_assets.datasets.restricted_pickle import (
    MAX_PICKLE_BYTES,
    plain_dict,
    unpickle_object,
)
from cp_assets.errors import MeasurementError
from cp_assets_tests.measurements.pickles import Calls, pickled

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SCALARS = [
    *(np.dtype(code).type(3) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")),
    *(np.dtype(code).type(-0.1) for code in ("f2", "f4", "f8")),
    *(np.longdouble(0.1), np.float32("nan"), np.float64("inf"), np.uint64(2**64 - 1)),
    *(np.bool_(True), np.bool_(False), np.str_("√ü"), np.str_("")),
    *(np.array([2.5], ">f4")[0], np.array(["ab"], ">U2")[0]),
]
PLAIN = {
    "text": "A01 √ü 😀",
    "": "",
    "int": -5,
    "big": 2**62,
    "float": 0.1,
    "yes": True,
    "no": None,
}


def read(data: bytes) -> dict[str, Any]:
    return plain_dict(unpickle_object(data, "a.npz"), "a.npz")


def refused(data: bytes, match: str) -> None:
    """Hold that a pickle ends in the one kind of error, which names the file."""
    with pytest.raises(MeasurementError, match=match) as caught:
        read(data)
    assert str(caught.value).startswith("a.npz")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unpickle_object_plain_values(protocol: int) -> None:
    assert read(pickled(PLAIN, protocol)) == PLAIN
    assert [type(one) for one in read(pickled(PLAIN, protocol)).values()] == [
        type(one) for one in PLAIN.values()
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scalar", SCALARS, ids=range(len(SCALARS)))
def test_unpickle_object_numpy_scalars_become_python(scalar: Any, protocol: int) -> None:
    (found,) = read(pickled({"value": scalar}, protocol)).values()
    expected = float(scalar) if scalar.dtype.kind == "f" else scalar.item()
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unpickle_object_reads_what_numpy_1_wrote(protocol: int) -> None:
    value = {f"key {number}": np.float32(number) for number in range(300)}
    new = pickled(value, protocol)
    # The length of the name stands before it where it is not ended by a new line.
    old = new.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray").replace(
        b"numpy._core", b"numpy.core"
    )
    assert old != new
    assert read(old) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {marker}",), "posix.system"),
        (builtins.eval, ("open('{marker}', 'w')",), "eval"),  # noqa: S307
        (builtins.exec, ("open('{marker}', 'w')",), "exec"),
        (builtins.open, ("{marker}", "w"), "open"),
        (builtins.getattr, ("text", "upper"), "getattr"),
        (subprocess.Popen, (["touch", "{marker}"],), r"\.Popen"),
        (pickle.loads, (b"",), "pickle.loads"),  # noqa: S301
        (np.load, ("{marker}",), "numpy.load"),
        (collections.OrderedDict, (), "collections.OrderedDict"),
        (datetime.date, (2020, 1, 1), "datetime.date"),
        (np.dtype, ([("a", "O")],), "damaged"),
        (bytes, (10**15,), "damaged"),
        (bytearray, (10**15,), "bytearray"),
        (np.ndarray, ((10**9,),), "damaged"),
    ],
    ids=range(14),
)
def test_unpickle_object_runs_nothing(
    tmp_path: Path, function: Any, arguments: tuple[Any, ...], name: str, protocol: int
) -> None:
    marker = str(tmp_path / "marker")
    given = [one.replace("{marker}", marker) if isinstance(one, str) else one for one in arguments]
    for value in (Calls(function, *given), {"a": Calls(function, *given)}):
        refused(pickled(value, protocol), name)
        refused(pickle.dumps(value, protocol), f"{name}|damaged")
    assert list(tmp_path.iterdir()) == []


def test_unpickle_object_the_attack_would_work_with_numpy(tmp_path: Path) -> None:
    payload = pickled({"a": Calls(os.system, f"touch {tmp_path / 'marker'}")})
    # Holds that the test above tests something.
    pickle.loads(payload)  # noqa: S301
    assert (tmp_path / "marker").exists()


class Own:
    def __init__(self) -> None:
        self.a = 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        *({1}, frozenset({1}), bytearray(b"a"), 1j, Own(), Own, np.dtype("f4")),
        *(np.datetime64("2020-01-01"), np.complex64(1), np.bytes_(b"a"), np.void(b"a")),
        np.array([(1, "a")], dtype=[("a", "i4"), ("b", "O")])[0],
        *(b"bytes", (1,), [1], {"a": 1}, np.arange(3), np.array([1, "a"], dtype=object)),
        np.array({"a": 1}, dtype=object),
        *({"a": {"a": 1}}, 2**64, -(2**63) - 1, 10**4000),
    ],
    ids=range(23),
)
def test_unpickle_object_other_values_are_refused(value: Any, protocol: int) -> None:
    refused(pickled({"entry": value}, protocol), "refused|'entry' is|damaged")


@pytest.mark.parametrize(
    "value", [[{}], "text", 5, None, (), {1: "a"}, {("a",): 1}, {None: 1}], ids=range(8)
)
def test_unpickle_object_what_is_no_dictionary_of_texts_is_refused(value: Any) -> None:
    refused(pickled(value), "expected")


def test_unpickle_object_array_of_several_is_refused() -> None:
    array = np.array([{"a": 1}, {"a": 2}], dtype=object)
    refused(pickle.dumps(array), "0-d numpy array of one object; got a numpy array")
    refused(pickle.dumps({"a": 1}), "0-d numpy array of one object; got a value of type dict")
    refused(pickle.dumps(array[:1]), "0-d numpy array")


def deep(opcode: bytes, start: bytes = b")", depth: int = 500_000) -> bytes:
    return b"\x80\x04" + start + opcode * depth


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04.",
        b"\x80\x04N",
        b"\x80\x63N.",
        b"\xff\xfe",
        b"(((((.",
        b"t.",
        b"0.",
        b"h\x05.",
        b"R.",
        b"NNR.",
        b"NNb.",
        b"\x94.",
        b"]N\x93.",
        b"}NNs.",
        b"NNs.",
        b"NNa.",
        b"}(Nu.",
        b"V\\uZZZZ\n.",
        b"I999999999999999999999999999999999999x\n.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"\x8a\x05\x01.",
        b"\x8b\xff\xff\xff\xff.",
        b"Ppersistent\n.",
        b"NQ.",
        b"\x82\x01.",
        b"\x83\x01\x00.",
        b"\x84\x01\x00\x00\x00.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\nVtouch\no.",
        b"cos\nsystem\n(Vtouch\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
        b"\x80\x05\x97.",
        b"B" + struct.pack("<I", 2**32 - 1) + b"a.",
        # A place in the memo that would take 64 GiB in the interpreter's own machine.
        b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
        b"Np" + b"9" * 30 + b"\n.",
        deep(b"\x85") + b".",
        deep(b"]") + b"a" * 500_000 + b".",
        deep(b"(") + b".",
        deep(b"\x85", start=b"})") + b"Ns.",
        # Shared by twos, its hash takes 2**60 steps.
        b"\x80\x02}V\n" + b"q\x00h\x00\x86" * 60 + b"Ns.",
        b"Va" + b"\n.",
    ],
    ids=range(46),
)
def test_unpickle_object_hostile_opcodes_end_in_an_error(data: bytes) -> None:
    refused(data, "pickle|expected|key")


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"\x82\x01.", "EXT1"), (b"Pa\n.", "PERSID"), (b"NQ.", "BINPERSID"), (b"(ios\na\n.", "INST")],
)
def test_unpickle_object_refused_opcodes_are_named(data: bytes, name: str) -> None:
    refused(data, f"opcode {name}, which is refused")


def test_unpickle_object_registered_extension_is_refused() -> None:
    copyreg.add_extension("os", "system", 77)
    try:
        refused(pickle.dumps({"a": os.system}, 2).replace(b"cposix\nsystem\n", b"\x82\x4d"), "EXT1")
    finally:
        copyreg.remove_extension("os", "system", 77)


def test_unpickle_object_state_of_arrays_and_types_is_not_believed() -> None:
    make = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I10000000000\ntC\x01btR"
    kind = b"(cnumpy\ndtype\n(VO8\ntR(I3\nV|\nNNNI-1\nI-1\nI0\ntb"
    state = b"(I1\n(I10000000000\nt" + kind[1:] + b"I00\n(ltb."
    refused(make + state, "0-d numpy array")
    refused(make + b"Nb.", "damaged")
    refused(make + b"(I1\ntb.", "damaged")
    fields = b"cnumpy\ndtype\n(VV8\ntR(I3\nV|\nN(Va\nt}I8\nI1\nI0\ntb."
    refused(fields, "damaged")
    for code in (b"O", b"V8", b"f999", b"f", b"M8", b"U99999999", b"(2,)f4", b"S3", b"f4,O"):
        scalar = b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(V" + code + b"\ntRC\x04aaaatR."
        refused(scalar, "scalar of type|damaged")


def test_unpickle_object_text_that_is_no_text() -> None:
    scalar = b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(VU1\ntRC\x04\xff\xff\xff\xfftR."
    refused(scalar, "damaged")


def test_unpickle_object_too_large() -> None:
    refused(pickled({"a": "x" * MAX_PICKLE_BYTES}), f"at most {MAX_PICKLE_BYTES} are read")
    assert read(pickled({"a": "x" * (MAX_PICKLE_BYTES - 1000)}))["a"].startswith("xxx")


def test_unpickle_object_making_more_of_what_is_there_is_limited() -> None:
    text = b"X" + struct.pack("<I", 500_000) + b"a" * 500_000 + b"q\x00X\x06\0\0\0latin1q\x01"
    again = b"c_codecs\nencode\nh\x00h\x01\x86R" * 10_000
    refused(b"\x80\x02" + text + again + b".", "makes more than")


def test_unpickle_object_thousand_damages_end_in_an_error_or_in_plain_values() -> None:
    randomly = random.Random(5)  # noqa: S311
    sources = [pickled({**PLAIN, "s": np.float32(1), "u": np.str_("x")}, p) for p in PROTOCOLS]
    good = 0
    for turn in range(1000):
        data = bytearray(sources[turn % len(sources)])
        for _ in range(randomly.choice([1, 1, 1, 3])):
            data[randomly.randrange(len(data))] = randomly.randrange(256)
        try:
            found = read(bytes(data[: randomly.choice([len(data), randomly.randrange(len(data))])]))
        except MeasurementError:
            continue
        good += 1
        assert all(one is None or type(one) in (str, int, float, bool) for one in found.values())
    assert good


def test_unpickle_object_imports_nothing() -> None:
    refused(b"cantigravity\ngeohash\n.", "antigravity.geohash")
    assert "antigravity" not in sys.modules
