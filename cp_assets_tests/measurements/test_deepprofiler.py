from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cp_assets.datasets import npz as npz_module
from cp_assets.datasets.npz import open_npz
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements.deepprofiler import DeepProfilerSite, read_deepprofiler_site
from cp_assets_tests.measurements.pickles import (
    Calls,
    npy,
    npy_of_pickle,
    pickled,
    write_members,
    write_site,
)

FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


def read(path: Path, **options: Any) -> DeepProfilerSite:
    return read_deepprofiler_site(path, f"P1/{path.name}", **options)


def refused(path: Path, match: str, **options: Any) -> None:
    """Hold that reading ends in the one kind of error, which names the file."""
    with pytest.raises(MeasurementError, match=match) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"P1/{path.name}")


def feature_columns(site: DeepProfilerSite) -> np.ndarray[Any, Any]:
    names = [name for name in site.rows.column_names if name.startswith(f"{site.model}_")]
    return site.rows.select(names).to_pandas().to_numpy()


def test_read_deepprofiler_site_real_file_equals_numpy_and_pandas(test_data: Path) -> None:
    path = test_data / "deepprofiler" / "A01_5.npz"
    site = read(path)
    with np.load(path, allow_pickle=True) as truth:
        features, locations = truth["features"], truth["locations"]
        metadata = truth["metadata"].item()
    assert site.identity.place() == ("SQ00014812", "A01", "5")
    assert site.rejections == ()
    assert site.identity.metadata == metadata
    # As pycytominer's load_npz_features and load_npz_locations name them.
    expected = pd.concat(
        [
            pd.DataFrame({"ObjectNumber": range(1, 159), "source_row": range(1, 159)}),
            pd.DataFrame(locations, columns=["Location_Center_X", "Location_Center_Y"]),
            pd.DataFrame(features.astype(float)).add_prefix("efficientnet_"),
        ],
        axis=1,
    )
    pd.testing.assert_frame_equal(site.rows.to_pandas(), expected, check_column_type=False)
    assert [str(one) for one in site.rows.schema.types[:6]] == [
        *("int64", "int64", "double", "double", "double", "double")
    ]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_read_deepprofiler_site_any_float_type_and_order(
    tmp_path: Path, dtype: str, order: Any
) -> None:
    values = np.array([[0.1, -1e4, np.inf], [3, np.nan, -0.0]])
    features = np.array(values, dtype=dtype, order=order)
    site = read(write_site(tmp_path / "A01_5.npz", features=features, locations=None))
    np.testing.assert_array_equal(feature_columns(site), features.astype(float))
    assert site.rows["efficientnet_1"].null_count == 1
    assert "Location_Center_X" not in site.rows.column_names


@pytest.mark.parametrize("dtype", ["<i4", "<f4", ">f8", "u2"])
def test_read_deepprofiler_site_locations_of_any_type_are_floats(
    tmp_path: Path, dtype: str
) -> None:
    locations = np.asfortranarray(np.arange(6).reshape(3, 2).astype(dtype))
    rows = read(write_site(tmp_path / "A01_5.npz", locations=locations)).rows
    assert rows["Location_Center_X"].to_pylist() == [0.0, 2.0, 4.0]
    assert rows["Location_Center_Y"].to_pylist() == [1.0, 3.0, 5.0]


def test_read_deepprofiler_site_not_compressed(tmp_path: Path) -> None:
    path = tmp_path / "A01_5.npz"
    np.savez(path, features=FEATURES)
    np.testing.assert_array_equal(feature_columns(read(path)), FEATURES)


@pytest.mark.parametrize(
    ("metadata", "options", "model"),
    [
        ({"Metadata_Model": "resnet"}, {}, "resnet"),
        ({"Model": "resnet"}, {}, "resnet"),
        ({"Metadata_Model": np.str_("resnet")}, {}, "resnet"),
        ({"Metadata_Model": ""}, {}, "efficientnet"),
        ({"Metadata_Model": None}, {}, "efficientnet"),
        ({}, {}, "efficientnet"),
        ({}, {"default_model": "DP"}, "DP"),
    ],
    ids=range(7),
)
def test_read_deepprofiler_site_model_names_the_features(
    tmp_path: Path, metadata: object, options: dict[str, str], model: str
) -> None:
    site = read(write_site(tmp_path / "A01_5.npz", metadata), **options)
    assert site.model == model
    assert site.rows.column_names[-4:] == [f"{model}_{at}" for at in range(4)]


def test_read_deepprofiler_site_metadata_are_text(tmp_path: Path) -> None:
    metadata = {
        "Metadata_Site": np.int64(5),
        "Concentration": np.float32(0.5),
        "Control": True,
        "Compound": None,
        "Größe": "√ü",
    }
    assert read(write_site(tmp_path / "A01_5.npz", metadata)).identity.texts() == {
        "Metadata_Site": "5",
        "Metadata_Concentration": "0.5",
        "Metadata_Control": "True",
        "Metadata_Compound": None,
        "Metadata_Größe": "√ü",
    }


def test_read_deepprofiler_site_entries_of_one_column(tmp_path: Path) -> None:
    metadata = {"Metadata_Plate": "P1", "Plate": "P2"}
    site = read(write_site(tmp_path / "A01_5.npz", metadata))
    assert site.identity.place()[0] == "P1"
    (rejection,) = site.identity.faults()
    assert (rejection.reason, rejection.outcome) == ("column_name_taken", "incomplete")
    assert "'Plate'" in rejection.detail


def test_read_deepprofiler_site_features_named_as_other_columns(tmp_path: Path) -> None:
    path = write_site(tmp_path / "A01_5.npz", {"Metadata_Model": "Metadata", "0": "x"})
    refused(path, "'Metadata' gives features the names of other columns")


def test_read_deepprofiler_site_without_objects(tmp_path: Path) -> None:
    empty = {"features": np.empty((0, 4), np.float32), "locations": np.empty((0, 2))}
    site = read(write_site(tmp_path / "A01_5.npz", **empty))
    assert site.rows.num_rows == 0
    assert site.rows.column_names[-1] == "efficientnet_3"
    (rejection,) = site.rejections
    assert (rejection.kind, rejection.reason, rejection.outcome) == (
        *("file", "header_only"),
        "incomplete",
    )


def test_read_deepprofiler_site_objects_without_features_are_recorded(tmp_path: Path) -> None:
    features = FEATURES.copy()
    features[1] = np.nan
    features[2, 0] = np.nan
    site = read(write_site(tmp_path / "A01_5.npz", features=features))
    assert site.rows["efficientnet_1"].to_pylist() == [1.0, None, 9.0]
    assert site.rows.num_rows == 3
    (rejection,) = site.rejections
    assert (rejection.reason, rejection.outcome) == ("no_features", "incomplete")
    assert (rejection.object_number, rejection.source_row) == (2, 2)
    assert (rejection.well_id, rejection.site_id) == ("A01", "5")
    assert rejection.source_file == "P1/A01_5.npz"


@pytest.mark.parametrize(
    ("path", "metadata", "expected"),
    [
        ("P9/B02_3.npz", {}, ("P9", "B02", "3")),
        ("P9/b2_s03.npz", {}, ("P9", "B02", "3")),
        ("P9/B02/3/embedding.npz", {}, ("P9", "B02", "3")),
        ("P9/B02-3/embedding.npz", {}, ("P9", "B02", "3")),
        ("P9/other.npz", {}, (None, None, None)),
        ("P9/other.npz", {"Metadata_Well": "c4", "Metadata_Site": 7.0}, (None, "C04", "7")),
        ("P9/B02_3.npz", {"Plate": "P1", "Well": "b2", "Site": "3"}, ("P1", "B02", "3")),
    ],
    ids=range(7),
)
def test_read_deepprofiler_site_identity(
    tmp_path: Path, path: str, metadata: object, expected: tuple[str | None, ...]
) -> None:
    site = read(write_site(tmp_path / path, metadata))
    assert site.identity.place() == expected
    assert list(site.identity.faults()) == []


@pytest.mark.parametrize(
    ("metadata", "detail"),
    [
        ({"Metadata_Well": "B01"}, "the metadata say well B01, the file's path A01"),
        ({"Metadata_Site": 6}, "the metadata say site 6, the file's path 5"),
        ({"Metadata_Well": "Z99"}, "well 'Z99' is no well"),
    ],
    ids=range(3),
)
def test_read_deepprofiler_site_contradictory_identity_is_rejected(
    tmp_path: Path, metadata: object, detail: str
) -> None:
    site = read(write_site(tmp_path / "A01_5.npz", metadata))
    assert site.rows.num_rows == 0
    assert site.rejections == ()
    (rejection,) = site.identity.faults()
    assert (rejection.kind, rejection.reason) == ("image", "identity_conflict")
    assert detail in rejection.detail


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": None}, "features.npy cannot be read .*no item named"),
        ({"features": np.zeros(3)}, r"features.npy has shape \(3,\) of float64; expected"),
        ({"features": np.zeros((3, 4), np.int32)}, "of int32; expected"),
        ({"features": np.zeros((3, 4), complex)}, "holds complex128; expected numbers"),
        ({"features": np.array([["a"]])}, "holds <U1; expected numbers"),
        ({"features": np.array([[{}]], object)}, "features.npy holds object; expected numbers"),
        ({"features": np.zeros((3, 4), [("a", "f4")])}, "expected numbers"),
        ({"locations": np.zeros((2, 2))}, r"expected \(3, 2\), x and y"),
        ({"locations": np.zeros((3, 3))}, r"expected \(3, 2\), x and y"),
        ({"locations": np.zeros(3)}, r"expected \(3, 2\), x and y"),
        ({"metadata": np.array([1, 2])}, r"metadata.npy is an array of shape \(2,\) of int64"),
        ({"metadata": np.array(["a"], object)}, r"shape \(1,\) of object; expected one object"),
        ({"metadata": np.array("text")}, "expected one object"),
        ({"metadata": np.array({"a": np.array([1, {}], object)})}, "entry 'a' is a numpy array"),
        ({"metadata": np.array({"a": {"b": 1}})}, "entry 'a' is a value of type dict"),
        ({"metadata": np.array({"a": "\ud800"})}, "text that is no Unicode"),
    ],
    ids=range(16),
)
def test_read_deepprofiler_site_other_content_is_an_error(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    refused(write_site(tmp_path / "A01_5.npz", **arrays), message)


@pytest.mark.parametrize("protocol", range(6))
def test_read_deepprofiler_site_malicious_metadata_run_nothing(
    tmp_path: Path, protocol: int
) -> None:
    payload = pickled({"a": Calls(os.system, f"touch {tmp_path / 'marker'}")}, protocol)
    members = {"features": npy(FEATURES), "metadata": npy_of_pickle(payload)}
    path = write_members(tmp_path / "A01_5.npz", members)
    refused(path, "metadata.npy: its pickle asks for 'posix.system', which is refused")
    assert not (tmp_path / "marker").exists()
    with np.load(path, allow_pickle=True) as truth:
        _ = truth["metadata"]
    assert (tmp_path / "marker").exists()


def test_read_deepprofiler_site_malicious_features_run_nothing(tmp_path: Path) -> None:
    payload = pickled(Calls(os.system, f"touch {tmp_path / 'marker'}"))
    path = write_members(tmp_path / "A01_5.npz", {"features": npy_of_pickle(payload)})
    refused(path, "holds object; expected numbers")
    assert not (tmp_path / "marker").exists()


def headed(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1")
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


def dtype_header(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not numpy",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + bytes(20),
        headed(dtype_header("(3, 4)"), bytes(48))[:-1],
        headed(dtype_header("(3, 4)"), bytes(49)),
        headed(dtype_header("(3, 4)"), bytes(48), b"\x03\x00"),
        headed(dtype_header("(3, -4)"), bytes(48)),
        headed(dtype_header("(-3, -4)"), bytes(48)),
        headed(dtype_header("(10**9, 4)"), bytes(48)),
        headed(dtype_header("(1000000000, 1000000000)"), bytes(48)),
        headed(dtype_header(f"({2**62}, 4)"), b""),
        headed(dtype_header(f"({10**40}, 0)"), b""),
        headed(dtype_header("(3.0, 4)"), bytes(48)),
        headed(dtype_header("'34'"), bytes(48)),
        headed(dtype_header("[3, 4]"), bytes(48)),
        headed(dtype_header("(3, 4)", "'O'"), bytes(96)),
        headed(dtype_header("(3, 4)", "'V4'"), bytes(48)),
        headed(dtype_header("(3, 4)", "'<f4,O'"), bytes(144)),
        headed(dtype_header("(3, 4)", "'nonsense'"), bytes(48)),
        headed(dtype_header("(3, 4)", "__import__('os')"), bytes(48)),
        headed("{'descr': '<f4'}\n", bytes(48)),
        headed("[1]\n"),
        headed("(" * 2000 + "\n"),
        headed("-" * 3000 + "1\n"),
        headed("{'descr': 'x\n"),
        headed("9" * 4000 + "\n"),
        headed(" " * 60_000 + dtype_header("(3, 4)"), bytes(48)),
        headed("x" * 10, version=b"\x02\x00")[:8] + struct.pack("<I", 2**32 - 1) + b"x",
    ],
    ids=range(29),
)
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional")
def test_read_deepprofiler_site_wrong_header_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = write_members(tmp_path / "A01_5.npz", {"features": content})
    refused(path, "features.npy")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"text" * 100])
def test_read_deepprofiler_site_what_is_no_zip_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "A01_5.npz"
    path.write_bytes(content)
    refused(path, "is no .npz|features.npy")


def test_read_deepprofiler_site_cut_short_is_an_error(tmp_path: Path) -> None:
    whole = write_site(tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "A01_5.npz"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        refused(path, "is no .npz")


def test_read_deepprofiler_site_missing_file_and_pipe(tmp_path: Path) -> None:
    refused(tmp_path / "A01_5.npz", "is not a file")
    os.mkfifo(tmp_path / "A01_6.npz")
    refused(tmp_path / "A01_6.npz", "is not a file")


def test_read_deepprofiler_site_too_large_is_an_error(tmp_path: Path) -> None:
    path = write_site(tmp_path / "A01_5.npz")
    refused(path, "features.npy has 176 bytes; at most 100 are read", max_bytes=100)
    bomb = npy(np.zeros((1000, 1000), np.float32))
    path = write_members(tmp_path / "A01_6.npz", {"features": bomb})
    assert path.stat().st_size < 10_000
    refused(path, "features.npy has 4000128 bytes", max_bytes=10**6)
    assert read(path, max_bytes=10**7).rows.num_rows == 1000


def test_read_deepprofiler_site_large_pickle_is_an_error(tmp_path: Path) -> None:
    refused(write_site(tmp_path / "A01_5.npz", {"a": "x" * 2**21}), "metadata.npy has .* at most")


def test_read_deepprofiler_site_sizes_that_cannot_be_are_an_error(tmp_path: Path) -> None:
    path = write_site(tmp_path / "A01_5.npz")
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    assert data[at + 46 : at + 58] == b"features.npy"
    data[at + 24 : at + 28] = struct.pack("<I", 2**29)
    path.write_bytes(data)
    refused(path, "features.npy cannot have 536870912 bytes, .* compressed")


def test_read_deepprofiler_site_other_compression_is_an_error(tmp_path: Path) -> None:
    path = write_members(tmp_path / "A01_5.npz", {"features": npy(FEATURES)}, zipfile.ZIP_LZMA)
    refused(path, "is compressed in another way than numpy does")


def test_read_deepprofiler_site_zip_of_very_many_members_is_an_error(tmp_path: Path) -> None:
    path = write_members(tmp_path / "A01_5.npz", {f"{n:050}": b"" for n in range(12_000)})
    refused(path, "is no .npz that can be read .*list of members of more than")


def test_open_npz_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = write_site(tmp_path / "A01_5.npz")
    with ExitStack() as stack:
        stack.enter_context(open_npz(path, "a.npz")).numbers("features")
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(InputChangedError, match="changed while it was read"):
            stack.close()


_FLIPS = """
import random, sys, warnings, zipfile
from pathlib import Path
from cp_assets.errors import CpAssetsError
from cp_assets.measurements.deepprofiler import read_deepprofiler_site
from cp_assets_tests.images.readers.files import limit_memory
limit_memory(2**28)
warnings.simplefilter("ignore")
path = Path(sys.argv[1])
wholes = [Path(name).read_bytes() for name in sys.argv[2:]]
with zipfile.ZipFile(sys.argv[2]) as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
randomly = random.Random(7)
counts = [0, 0]
def flipped(whole):
    data = bytearray(whole)
    for _ in range(randomly.choice([1, 1, 2, 8])):
        data[randomly.randrange(len(data))] ^= 1 << randomly.randrange(8)
    return data
for turn in range(1000):
    if turn % 3:
        path.write_bytes(flipped(wholes[turn % len(wholes)]))
    else:
        # Behind the checksum.
        damaged = randomly.choice(list(members))
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, bytes(flipped(data) if name == damaged else data))
    try:
        read_deepprofiler_site(path, "A01_5.npz")
        counts[0] += 1
    except CpAssetsError as error:
        assert str(error).startswith("A01_5.npz"), error
        counts[1] += 1
print(*counts)
"""


def test_read_deepprofiler_site_thousand_flips_in_little_memory(tmp_path: Path) -> None:
    packed = write_site(tmp_path / "packed.npz")
    members = {"features": npy(FEATURES), "metadata": npy_of_pickle(pickled({"Model": "a"}, 0))}
    plain = write_members(tmp_path / "plain.npz", members, zipfile.ZIP_STORED)
    done = subprocess.run(
        [sys.executable, "-c", _FLIPS, tmp_path / "A01_5.npz", packed, plain],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    good, bad = map(int, done.stdout.split())
    assert good + bad == 1000
    assert bad > 500


def test_open_npz_reads_no_more_than_a_piece_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).random((500, 100))
    path = write_site(tmp_path / "A01_5.npz", features=values, locations=None)
    monkeypatch.setattr(npz_module, "_PIECE", 2**16)
    with open_npz(path, "a.npz") as npz:
        np.testing.assert_array_equal(npz.numbers("features"), values)
