"""Enrollments on disk. Only this package knows the database."""

from face_api.store.enrollments import Enrollment, EnrollmentStore, Profile, StoreUnavailableError

__all__ = ["Enrollment", "EnrollmentStore", "Profile", "StoreUnavailableError"]
