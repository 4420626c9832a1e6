"""One photo, analysed by both faces of the service, and all that the page shows of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from face_dashboard.client import AccessDeniedError, ApiClient, RefusedError
from face_dashboard.models import ContractAnswer, Decision, Verification
from face_dashboard.photos import Shown, face_alone, opened, shown
from face_engine.errors import ImageError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be analysed: a photo, and with whom its faces are compared."""

    company: str
    user: str
    photo: bytes

    @property
    def mark(self) -> tuple[str, str, str]:
        """What differs where something else is wanted."""
        return self.company, self.user, hashlib.sha256(self.photo).hexdigest()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What both endpoints answered.

    Args:
        mark: of what was wanted.
        verification: v1's answer; None where it refused, for `reason`.
        picture: None where the photo cannot be opened here.
        faces: each face of the photo alone, in the order of the persons; empty without a picture.
        chips: the kept faces of the references, by their id; those that are kept.
    """

    mark: tuple[str, str, str]
    verification: Verification | None
    reason: str
    contract: ContractAnswer
    decision: Decision
    picture: Shown | None
    faces: tuple[bytes, ...]
    chips: Mapping[int, bytes]


def ask(api: ApiClient, wanted: Wanted) -> Attempt:
    """Ask v1, and the endpoint of the specification, with the same bytes.

    Raises:
        ApiError: neither could be asked, or what was answered is not to be understood.
    """
    decision = api.decision()
    verification, reason = None, "compared"
    try:
        verification = api.verify(wanted.company, wanted.user, wanted.photo)
    except AccessDeniedError:
        raise
    except RefusedError as error:
        reason = error.reason
    contract = api.analyse_by_contract(wanted.company, wanted.user, wanted.photo)
    picture, faces = _seen(wanted.photo, verification)
    chips = {} if verification is None else _chips(api, wanted, verification)
    return Attempt(wanted.mark, verification, reason, contract, decision, picture, faces, chips)


def _seen(photo: bytes, verification: Verification | None) -> tuple[Shown | None, tuple[bytes, ...]]:
    try:
        image = opened(photo)
    except ImageError:
        return None, ()
    persons = verification.persons if verification else ()
    return shown(image), tuple(face_alone(image, person.box) for person in persons)


def _chips(api: ApiClient, wanted: Wanted, verification: Verification) -> dict[int, bytes]:
    chips = {}
    for reference_id in {person.reference_id for person in verification.persons}:
        try:
            chips[reference_id] = api.enrollment_image(wanted.company, wanted.user, reference_id)
        except RefusedError:  # none is kept, or it was removed since
            continue
    return chips
