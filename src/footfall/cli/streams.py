"""`footfall stream check`: any stream service, followed like a player and judged."""

from __future__ import annotations

import click
import httpx
import msgspec

from footfall import __version__
from footfall.cli.output import one_line, print_table, progress
from footfall.stream.checking import Check, Report
from footfall.stream.checking_rules import Finding


@click.group()
def stream() -> None:
    """Streams: ad insertion and session tracking."""


@stream.command("check")
@click.argument("url")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    metavar="N",
    help="How long a live session is followed [60].",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.pass_context
def check_(ctx: click.Context, *, url: str, seconds: float, as_json: bool) -> None:
    """Follow a session like a player, and hold playlists and tracking to the rules.

    URL is that of a service or of any HLS stream, a multivariant or a media playlist. Every
    rendition is refreshed as RFC 8216 says; session tracking is asked for where the address comes
    to carry bpkio_sessionid. A finished stream is loaded twice. Exit code 1 where a rule is broken
    that players rely on; docs/streams.md has the rules.

    \b
    footfall stream check http://127.0.0.1:8080/stream/demo-live/master.m3u8 --seconds 120
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="URL")
    agent = {"User-Agent": f"footfall/{__version__} stream check"}
    with httpx.Client(headers=agent) as client, progress("Watching") as tell:
        report = Check(client).run(url, seconds, tell)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report)
    ctx.exit(0 if report.good else 1)


def _print(report: Report) -> None:
    kind = "live" if report.live else "finished"
    session = f", session {report.session}" if report.session else ""
    click.secho(one_line(f"{report.url}"), bold=True)
    click.echo(f"{kind}{session}; {report.requests} requests in {report.seconds:g} s")
    if report.tracking is not None:
        said = report.tracking
        click.echo(f"tracking: {said.answers} answers, {said.pods} pods, {said.ads} ads")
    if report.playlists:
        click.echo()
        print_table(
            ("playlist", "refreshes", "segments", "discontinuities"),
            [
                (one.name, str(one.refreshes), str(one.segments), str(one.discontinuities))
                for one in report.playlists
            ],
        )
    for finding in report.findings:
        _print_finding(finding)
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    click.echo()
    if not report.findings:
        click.secho("Every rule holds.", fg="green")
    else:
        click.secho(
            f"{errors} {_plural('error', errors)}, {warnings} {_plural('warning', warnings)}",
            fg="red" if errors else "yellow",
        )


def _print_finding(finding: Finding) -> None:
    colour = "red" if finding.severity == "error" else "yellow"
    when = f"after {finding.first_s:g} s"
    if finding.count > 1:
        when = f"{finding.count} times, first {when}, last after {finding.last_s:g} s"
    click.echo()
    click.secho(f"{finding.severity}  {finding.rule}", fg=colour, bold=True, nl=False)
    click.echo(f"  {one_line(finding.where)}, {when}")
    click.echo(f"    {one_line(finding.detail)}")
    click.echo(f"    {finding.remedy}")


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
