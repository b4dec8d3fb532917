"""The clauses of the Cytomining Warehouse Specification (RFC 2119), as data.

Sections and numbers are the specification's; the words are ours. What only defines a term is no
clause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["MUST", "MUST NOT", "SHOULD", "MAY"]

WRITERS = "about what writers do: a root does not show it"
READERS = "about readers, not about a root"
SPECIFICATION = "about the specification itself, not about a root"
ALLOWED = "allows something, asks for nothing"
PEOPLE = "for people to judge: no field of the manifest tells it"


@dataclass(frozen=True)
class Clause:
    """One requirement.

    Attributes
    ----------
    number
        Within the section; with a letter where the specification has two words in one.
    outside
        Why no root can be held against it; None where one can.
    """

    section: str
    number: str
    word: Word
    text: str
    outside: str | None = None

    @property
    def key(self) -> str:
        """Section and number, as results are found by."""
        return f"{self.section} {self.number}"

    @property
    def is_required(self) -> bool:
        """Whether a root that breaks it does not conform."""
        return self.word in ("MUST", "MUST NOT")


_Said = tuple[str, Word, str] | tuple[str, Word, str, str]


def _section(name: str, *clauses: _Said) -> list[Clause]:
    return [Clause(name, *one) for one in clauses]


VERSIONING = "Specification Versioning"
TABLES = "Namespaces and Tables"
NAMESPACES = "Canonical Namespaces"
IMAGES = "Image Namespace Data Conventions"
NAMES = "Canonical Table Names"
ROLES = "Role Vocabulary"
PROFILES = "Profile Tables"
QUALITY = "Quality Control Tables"
MANIFEST = "Manifest"
WRITES = "Independent and External Writes"

CLAUSES = (
    *_section(
        VERSIONING,
        ("1", "MUST", "the manifest declares warehouse_spec_version"),
        ("2", "MUST", "the version is semantic: MAJOR.MINOR.PATCH"),
        ("2.1", "MUST", "a new major version is an incompatible change", SPECIFICATION),
        ("2.2", "MUST", "a new minor version is compatible for readers", SPECIFICATION),
        ("2.3", "MUST NOT", "a new patch version changes requirements", SPECIFICATION),
        (
            "3",
            "SHOULD",
            "readers stop at a major version that they do not know",
            READERS,
        ),
        ("4", "SHOULD", "implementations document what they implement", SPECIFICATION),
    ),
    *_section(
        TABLES,
        ("1", "MUST", "tables are organized by namespace and table"),
        ("2", "MUST", "identifiers are <namespace>.<table>"),
        ("3", "MUST", "on disk a table lies in <root>/<namespace>/<table>/"),
        ("4", "MUST", "in object stores a table lies below the same prefix of the root"),
    ),
    *_section(
        NAMESPACES,
        ("1", "MUST", "profile tables are in profiles"),
        ("2", "MUST", "tables of images and their metadata are in images"),
        ("3", "MUST", "quality-control tables are in quality_control"),
        ("4", "SHOULD", "a name without namespace is refused where several are possible", WRITERS),
    ),
    *_section(
        IMAGES,
        ("1", "MUST", "image assets are represented by the canonical tables of images"),
        ("2", "MUST NOT", "the images' format changes the namespace"),
        ("3", "MUST", "image metadata are in images.image_assets"),
        ("4", "MUST", "chunk_index has no rows of images without chunks"),
        ("5", "MUST", "image ids are the same whatever the images' format", WRITERS),
        ("6", "SHOULD", "image metadata keep dataset_id, image_id, shape and dtype"),
    ),
    *_section(
        NAMES,
        ("1", "MUST", "joined profiles are profiles.joined_profiles"),
        ("2", "MUST", "crops of objects are images.image_crops"),
        ("3", "MUST", "source-image payloads are images.source_images"),
        ("4", "MAY", "profiles.profile_with_images, where there are profiles and crops"),
        ("5", "SHOULD", "names of processed profiles tell the step that they come from", PEOPLE),
        ("6", "SHOULD", "further tables are in a namespace that fits what they are"),
    ),
    *_section(
        ROLES,
        ("1", "MUST", "roles come from a controlled vocabulary"),
        ("2", "MUST", "the vocabulary has the standard roles", SPECIFICATION),
        ("3", "MAY", "the vocabulary has the optional roles", ALLOWED),
        ("6", "MAY", "embeddings are profiles or embeddings", ALLOWED),
        ("7", "SHOULD", "embeddings that are the main profiles are in profiles", PEOPLE),
        ("8", "SHOULD", "embeddings that are to be told from profiles are in embeddings"),
        ("9", "MUST", "roles of a project's own are documented"),
    ),
    *_section(
        PROFILES,
        ("1", "MAY", "profile tables of several levels", ALLOWED),
        ("2", "MUST", "each kind of object has a profile table of its own"),
        ("3", "MUST NOT", "a profile table mixes kinds of objects"),
        ("4", "MUST", "profile tables have unique ids of objects and images"),
        ("5", "SHOULD", "profile tables declare profile_level, and compartment where there is one"),
        ("6a", "MUST", "the manifest documents joins by the table's role"),
        ("6b", "SHOULD", "names of profile tables tell the object or compartment"),
    ),
    *_section(
        QUALITY,
        ("1", "MAY", "several quality-control tables", ALLOWED),
        ("2", "MUST", "tables to filter profiles by are in quality_control"),
        ("3", "SHOULD", "a table to filter objects by has ids of objects"),
        ("4", "SHOULD", "a filter has at least one boolean column"),
        ("5", "MUST", "the role says that the table is one of quality control"),
    ),
    *_section(
        MANIFEST,
        ("1", "MUST", "the root has warehouse_manifest.json"),
        ("2", "MUST", "entries name tables as <namespace>.<table>"),
        ("3", "MUST", "entries have table_name, role, format, join_keys and columns"),
        ("4", "MUST", "table names are unique"),
        ("5", "MUST", "role, level and compatibility are told without opening the tables"),
    ),
    *_section(
        WRITES,
        ("1", "MAY", "other tools add data", ALLOWED),
        ("2", "MUST", "other tools keep identifiers, paths and manifest as required", WRITERS),
        ("3", "MUST", "the manifest has every table that is there, and no other"),
        ("4", "SHOULD", "writes are atomic: no half of one is to be seen"),
        ("5", "MUST NOT", "an append changes role or level in silence", WRITERS),
        ("6", "MUST", "a replaced table keeps its identifier, and should keep its role", WRITERS),
        ("7", "MUST", "a change of level, role or joins is treated as a breaking one", WRITERS),
        ("8", "SHOULD", "the manifest records where tables come from"),
        ("9", "SHOULD", "roots are validated after others wrote into them", WRITERS),
        ("10", "MUST NOT", "consumers assume that one package wrote all tables", READERS),
    ),
)
"""All clauses, in the specification's order."""
