"""`footfall replay`: recorded traffic, sent to a server and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import httpx

from footfall.cli.output import one_line, print_table, progress
from footfall.replay import Answered, read_recording
from footfall.replay import replay as send


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "url", required=True, metavar="URL", help="The server: http://127.0.0.1:8080")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="FROM=TO",
    help="What stands as FROM in a body or a header is sent as TO; may be repeated.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="N",
    help="N times as fast as recorded [1].",
)
@click.option("--no-wait", is_flag=True, help="One request after another, without waiting.")
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    file: Path,
    url: str,
    sources: tuple[str, ...],
    speed: float | None,
    no_wait: bool,
) -> None:
    """Send recorded traffic, and compare the statuses of the answers.

    Session and profile ids that the server gives are used as the recorded client would use them;
    player times are moved so that the first request is now. Exit code 1 where an answer differs.

    \b
    footfall replay tests/traffic/vaix-backend.jsonl --to http://127.0.0.1:8080 --no-wait
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if speed is not None and no_wait:
        raise click.UsageError("--speed and --no-wait exclude each other.")
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--to")
    with file.open("rb") as lines:
        recording = read_recording(lines, str(file))
    answers: list[Answered] = []
    with httpx.HTTPTransport() as transport, progress("Replaying") as tell:
        for answered in send(
            recording,
            url,
            renamed=_renamed(sources),
            speed=None if no_wait else speed or 1.0,
            transport=transport,
        ):
            answers.append(answered)
            tell({"done": answered.number, "total": len(recording), "what": answered.path})
    _print(answers)
    ctx.exit(0 if all(answered.as_expected for answered in answers) else 1)


def _renamed(sources: Sequence[str]) -> Mapping[str, str]:
    pairs = {}
    for text in sources:
        before, equals, after = text.partition("=")
        if not (before and equals and after):
            raise click.BadParameter(f'must be FROM=TO, not "{text}"', param_hint="--source")
        pairs[before] = after
    return pairs


def _print(answers: Sequence[Answered]) -> None:
    print_table(
        ("#", "method", "path", "expected", "got", ""),
        [
            (
                str(answered.number),
                answered.method,
                answered.path,
                str(answered.expected),
                str(answered.got),
                "" if answered.as_expected else "differs",
            )
            for answered in answers
        ],
    )
    for answered in answers:
        if not answered.as_expected:
            click.echo(f"{answered.number}: {one_line(answered.text)}")
    good = sum(answered.as_expected for answered in answers)
    click.echo(f"{good} of {len(answers)} answered as recorded")
