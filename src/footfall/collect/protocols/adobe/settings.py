"""What an operator sets per source for Adobe media tracking: `[source.adobe]`."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Adobe:
    """`[source.adobe]`"""

    report_suites: tuple[str, ...] = setting(
        (),
        'Values of analytics.reportSuite that belong to this source; "*" is every one that no '
        "source names.",
        example='["examplersid"]',
        needed="every Adobe session is refused (400)",
        dev=("*",),
    )
    remember_closed_days: float = setting(
        7.0,
        "How long a closed media session is answered with 410 rather than 404.",
        unit="days",
        low=0.01,
        high=365,
    )
