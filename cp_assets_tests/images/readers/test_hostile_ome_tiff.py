"""OME-TIFF files whose XML or set of files is wrong, by accident or on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cp_assets.images.readers import Region
from cp_assets_tests.images.readers.files import ome_xml, pixels, read, write_ome_set
from cp_assets_tests.images.readers.hostile import refused, write_tiff

pytestmark = pytest.mark.usefixtures("little_memory")


def _ome(path: Path, xml: str, pages: int = 1) -> Path:
    return write_tiff(
        path, pixels("uint8", (pages, 8, 8)), description=xml, photometric="minisblack"
    )


def test_ome_xml_with_an_entity_bomb(tmp_path: Path) -> None:
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    xml = ome_xml('SizeX="8" SizeY="8"', "&j;<TiffData/>", before=f"<!DOCTYPE x [{entities}]>")
    refused(_ome(tmp_path / "a.tif", xml), "declares a document type or entities")


def test_ome_xml_with_an_external_entity(tmp_path: Path) -> None:
    before = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    xml = ome_xml('SizeX="8" SizeY="8"', "&e;<TiffData/>", before=before)
    refused(_ome(tmp_path / "a.tif", xml), "declares a document type or entities")


def test_ome_xml_that_is_too_large(tmp_path: Path) -> None:
    xml = ome_xml('SizeX="8" SizeY="8"', f"<TiffData/><!--{'x' * 2**26}-->")
    refused(_ome(tmp_path / "a.tif", xml), "at most 64 MiB are read")


@pytest.mark.parametrize(
    ("sizes", "inside", "match"),
    [
        ('SizeX="8" SizeY="8" SizeZ="1000000000"', "<TiffData/>", "planes; at most 262,144"),
        ('SizeX="8" SizeY="8" SizeZ="0"', "<TiffData/>", "sizes"),
        ('SizeX="8" SizeY="8"', '<TiffData PlaneCount="1000000000"/>', "TiffData of 10000000"),
        ('SizeX="8" SizeY="8"', '<TiffData FirstZ="7"/>', "FirstZ 7 of 1"),
        ('SizeX="8" SizeY="8"', '<TiffData IFD="-1"/>', "page -1"),
        ('SizeX="8" SizeY="8"', '<TiffData IFD="9"/>', "names page 9 of itself, which has 1"),
        ('SizeX="800" SizeY="8"', "<TiffData/>", "OME-XML says 8x800 pixels"),
        ('SizeX="8" SizeY="eight"', "<TiffData/>", "cannot be used"),
        (
            'SizeX="8" SizeY="8" SizeC="6"',
            '<Channel SamplesPerPixel="4"/><TiffData/>',
            "samples for each pixel",
        ),
    ],
    ids=["planes", "zero", "count", "first", "negative", "page", "size", "number", "samples"],
)
def test_ome_xml_that_says_the_impossible(
    tmp_path: Path, sizes: str, inside: str, match: str
) -> None:
    refused(_ome(tmp_path / "a.tif", ome_xml(sizes, inside)), match)


def test_ome_xml_that_is_broken(tmp_path: Path) -> None:
    refused(_ome(tmp_path / "a.tif", "<OME><Image></OME>"), "its OME-XML cannot be used")


def test_ome_xml_that_lists_planes_again_and_again(tmp_path: Path) -> None:
    sizes = 'SizeX="8" SizeY="8" SizeZ="200000"'
    xml = ome_xml(sizes, '<TiffData PlaneCount="200000"/>' * 2000)
    refused(_ome(tmp_path / "a.tif", xml), "lists planes again and again")


def test_ome_plane_that_was_never_written(tmp_path: Path) -> None:
    blocks = '<TiffData FirstZ="1" IFD="0" PlaneCount="1"/>'
    path = _ome(tmp_path / "a.tif", ome_xml('SizeX="8" SizeY="8" SizeZ="2"', blocks))
    written = Region((0, 1), (0, 1), (1, 2), (0, 8), (0, 8))
    np.testing.assert_array_equal(read(path, written)[1][0, 0], pixels("uint8", (1, 8, 8)))
    refused(path, "plane T=0 C=0 Z=0 was never written")


@pytest.mark.parametrize("kind", ["parent", "absolute", "link"])
def test_ome_set_that_leaves_its_folder(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write_tiff(tmp_path / "secret.tif", pixels("uint8", (8, 8)))
    (folder / "link.tif").symlink_to(tmp_path / "secret.tif")
    names = {"parent": "../secret.tif", "absolute": tmp_path / "secret.tif", "link": "link.tif"}
    blocks = f'<TiffData IFD="0"><UUID FileName="{names[kind]}">urn:uuid:2</UUID></TiffData>'
    xml = ome_xml('SizeX="8" SizeY="8"', blocks, root=' UUID="urn:uuid:1"')
    refused(_ome(folder / "a.tif", xml), "which lies outside its folder")


def test_ome_set_of_which_a_file_is_missing(tmp_path: Path) -> None:
    first, second, _ = write_ome_set(tmp_path, pixels("uint8", (3, 8, 8)))
    second.unlink()
    refused(first, r"names 't1\.ome\.tif', which is not there; copy the 2 files")


def test_ome_set_of_one_file_that_is_missing(tmp_path: Path) -> None:
    blocks = '<TiffData IFD="0"><UUID FileName="b.tif">urn:uuid:2</UUID></TiffData>'
    xml = ome_xml('SizeX="8" SizeY="8"', blocks, root=' UUID="urn:uuid:1"')
    refused(_ome(tmp_path / "a.tif", xml), r"'b\.tif', which is not there; copy it into")


def test_ome_set_whose_files_differ(tmp_path: Path) -> None:
    first, second = write_ome_set(tmp_path, pixels("uint8", (2, 8, 8)))
    write_tiff(second, pixels("uint16", (8, 8)))
    refused(first, r"plane T=1 C=0 Z=0 is uint16 \(8, 8\), others are uint8")
