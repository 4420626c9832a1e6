"""What an administrator should look at, judged by what the API tells of itself."""

from dataclasses import dataclass

from face_dashboard.charts import TARGETS_MS
from face_dashboard.models import Counts, Operation, Readiness
from face_dashboard.summaries import Summary
from face_dashboard.translations import Say

MIN_REQUESTS = 20
"""Fewer say nothing of a share."""

MANY_FAIL = 0.2


@dataclass(frozen=True, slots=True)
class Attention:
    """What is the matter, and what to do."""

    what: str
    advice: str
    is_grave: bool = False


def needs_attention(
    readiness: Readiness, counts: Counts, analyses: Summary, enrollments: Summary, _: Say
) -> list[Attention]:
    """Return what needs attention, the gravest first."""
    found = []
    if not readiness.model:
        found.append(
            Attention(
                _("No photo can be analysed now."), _("The networks do not run: the API's log says why."), is_grave=True
            )
        )
    if not readiness.database:
        found.append(
            Attention(
                _("The database cannot be reached."), _("Requests are refused until it answers again."), is_grave=True
            )
        )
    if counts.outdated_enrollments:
        found.append(
            Attention(
                _("{count} enrollments were made by another encoder.", count=f"{counts.outdated_enrollments:,}"),
                _("They are not compared with. `face-api reencode` renews those whose face is kept."),
            )
        )
    if counts.users_without_enrollment:
        found.append(
            Attention(
                _("{count} users have no enrollment.", count=f"{counts.users_without_enrollment:,}"),
                _("They are answered as not registered. Enroll them again, or erase them."),
            )
        )
    for done, name in ((analyses, _("analyses")), (enrollments, _("enrollments"))):
        if done.requests >= MIN_REQUESTS and done.failed / done.requests > MANY_FAIL:
            found.append(
                Attention(
                    _(
                        "{share} of today's {operations} failed.",
                        share=f"{done.failed / done.requests:.0%}",
                        operations=name,
                    ),
                    _("The page *Activity and latency* shows why."),
                )
            )
    found += _slow(analyses, "analyse", _("analyses"), _)
    found += _slow(enrollments, "enroll", _("enrollments"), _)
    return found


def _slow(done: Summary, operation: Operation, name: str, _: Say) -> list[Attention]:
    target = TARGETS_MS[operation]
    if done.latency is None or done.requests < MIN_REQUESTS or done.latency.p95 <= target:
        return []
    return [
        Attention(
            _("Of today's {operations} 5 % took more than {ms} ms.", operations=name, ms=f"{done.latency.p95:,.0f}"),
            _("The specification wants {target} ms on average. More inference workers or cores help.", target=target),
        )
    ]
