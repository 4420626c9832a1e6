"""v1: JSON with every detail, real status codes, problem details (RFC 9457)."""

from face_api.inference import Analyser
from face_api.routes.v1.activity import activity_endpoints
from face_api.routes.v1.audit import audit_endpoints
from face_api.routes.v1.decision import decision_endpoints
from face_api.routes.v1.endpoints import Endpoint, routes_of
from face_api.routes.v1.enrollments import enrollment_endpoints
from face_api.routes.v1.keys import key_endpoints
from face_api.routes.v1.once import Once
from face_api.routes.v1.people import people_endpoints
from face_api.routes.v1.photos import photo_endpoints
from face_api.routes.v1.service import service_endpoints
from face_api.services.analysis import AnalysisService
from face_api.services.decision import Decisions
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import PhotoLimits
from face_api.settings import Settings
from face_api.store import Store

__all__ = ["Endpoint", "routes_of", "v1_endpoints"]


def v1_endpoints(
    store: Store,
    enrollment: EnrollmentService,
    analysis: AnalysisService,
    decisions: Decisions,
    photo_limits: PhotoLimits,
    settings: Settings,
    analyser: Analyser,
) -> list[Endpoint]:
    """Return every operation of v1."""
    once = Once(store)
    return [
        *photo_endpoints(enrollment, analysis, photo_limits, once),
        *decision_endpoints(decisions),
        *people_endpoints(store),
        *enrollment_endpoints(store),
        *activity_endpoints(store),
        *key_endpoints(store, once),
        *audit_endpoints(store),
        *service_endpoints(store, settings, analyser),
    ]
