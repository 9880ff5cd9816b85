"""`footfall check` and `footfall source new`: the settings file, before it is served."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import click

from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.collect.protocols import installed
from footfall.settings import Service, Settings, Source, unreadable_files
from footfall.settings.declared import declared
from footfall.settings.rules import SOURCE_ID, nearest


@click.command()
@config_option
@data_option
def check(config: Path | None, data: str | None) -> None:
    """Is the settings file right?

    Every problem is named at once, with its line and what would be right; exit code 1. Otherwise
    a summary of what would be served. Nothing is started and nothing is written.

    \b
    footfall check --config footfall.toml
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    settings = configuration.whole(check_files=False)
    name = configuration.file or "No settings file here; the defaults are"
    click.secho(f"{name}: valid" if configuration.file else f"{name} valid", fg="green")
    for label, text in _summary(settings):
        click.echo(f"  {label:<12}{text}")
    warnings = (_left_empty(settings), _adless(settings), _private(settings))
    for warning in (*unreadable_files(settings), *chain.from_iterable(warnings)):
        click.secho(f"  warning     {warning}", fg="yellow")


@click.group()
def source() -> None:
    """Sources: the sites and apps that may send events."""


@source.command()
@click.argument("name")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    metavar="NAME",
    help="A protocol that it takes; may be repeated. Without it, every one.",
)
def new(name: str, protocols: tuple[str, ...]) -> None:
    """Make a source with a fresh key.

    The TOML block goes to standard output and holds the key's hash only; the key itself is shown
    once, on standard error.

    \b
    footfall source new shop --protocol vaix >> footfall.toml
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if not SOURCE_ID.fullmatch(name):
        raise click.BadParameter(
            "1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or digit.",
            param_hint="NAME",
        )
    known = {protocol.name: protocol.settings for protocol in installed()}
    for protocol in protocols:
        if protocol not in known:
            raise click.BadParameter(
                f'"{protocol}" is unknown{nearest(protocol, known)}', param_hint="--protocol"
            )
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    taken = {protocol: known[protocol] for protocol in protocols or known}
    click.echo(block(name, digest, taken))
    click.echo(f"The key of {name}, shown this once: ", err=True, nl=False)
    click.secho(key, err=True, bold=True)


def block(name: str, digest: str, protocols: Mapping[str, type | None]) -> str:
    """The TOML of a source, with the settings that its protocols may need as comments."""
    listed = ", ".join(f'"{protocol}"' for protocol in protocols)
    lines = [
        "",
        "[[source]]",
        f'id = "{name}"',
        f'key_sha256 = ["{digest}"]',
        f"protocols = [{listed}]",
        'origins = []            # of browser pages: ["https://www.example.com"]',
    ]
    for protocol, kind in protocols.items():
        lines += _hints(protocol, kind)
    return "\n".join(lines)


def _hints(protocol: str, kind: type | None) -> Iterator[str]:
    """The settings of a protocol that must be filled in, and as comments those with an example."""
    settings = [setting for setting in declared(kind).values() if setting.example] if kind else []
    needed = [setting for setting in settings if setting.needed]
    if settings:
        yield f"{'' if needed else '# '}[source.{protocol}]"
    for setting in needed:
        yield f"{setting.name} = []  # such as {setting.example}; while empty, {setting.needed}"
    for setting in settings:
        if not setting.needed:
            yield f"# {setting.name} = {setting.example}"


def _left_empty(settings: Settings) -> Iterator[str]:
    """What is lawful and leads to refusals that nobody may have meant."""
    if not settings.sources:
        yield "no [[source]]: every request is refused; `footfall source new NAME` makes one"
    for one in settings.sources:
        for protocol in one.protocols:
            table = one.protocol_settings.get(protocol)
            for setting in declared(type(table)).values() if table is not None else ():
                if setting.needed and not getattr(table, setting.name):
                    place = f"source {one.id}: source.{protocol}.{setting.name}"
                    yield f"{place} is empty: {setting.needed}"


def _adless(settings: Settings) -> Iterator[str]:
    """What keeps services from playing ads, or some of them. No host is asked."""
    asking = [one for one in settings.services if one.ad_server or one.preroll_ad_server]
    for one in settings.services:
        if one not in asking:
            yield f"service {one.id}: no ad_server: it plays no ads"
    preparing = ", ".join(one.id for one in asking if one.transcode)
    if preparing and not shutil.which("ffmpeg"):
        yield (
            f"ffmpeg is not installed: creatives that do not fit the content are skipped "
            f"({preparing}); install it, or set transcode = false"
        )


def _private(settings: Settings) -> Iterator[str]:
    """Services whose own addresses will be refused: as far as names tell, without asking DNS."""
    for one in settings.services:
        addresses = (one.origin, *one.assets, one.ad_server, one.preroll_ad_server, one.slate)
        hosts = dict.fromkeys(urlsplit(address).hostname or "" for address in addresses if address)
        private = [host for host in hosts if _is_private(host)]
        if private and not one.private_addresses:
            yield (
                f"service {one.id}: {', '.join(private)} is private: it is not asked without "
                "private_addresses = true"
            )


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _summary(settings: Settings) -> Iterator[tuple[str, str]]:
    server = settings.server
    scheme = "https" if server.tls_certificate else "http"
    yield "tracking", f"{scheme}://{_authority(server.host, server.port)}"
    yield "console", f"http://{_authority(server.console_host, server.console_port)}"
    made = "" if Path(server.data).exists() else " (not there yet: `footfall serve` makes it)"
    yield "data", f"{server.data}{made}"
    for one in settings.sources:
        yield "source", f"{one.id}: {_source(one)}"
    for service in settings.services:
        yield "service", f"{service.id}: {_service(service)}"


def _source(one: Source) -> str:
    return "; ".join(
        (
            ", ".join(one.protocols) or "streams only",
            _counted(len(one.key_sha256), "key"),
            f"origins {', '.join(one.origins)}" if one.origins else "no origins listed",
            f"kept {one.retention_days} days" if one.retention_days else "kept for good",
        )
    )


def _service(one: Service) -> str:
    asked = [address for address in (one.ad_server, one.preroll_ad_server) if address]
    ads = dict.fromkeys(urlsplit(address).netloc for address in asked)
    content = one.origin or _counted(len(one.assets), "asset")
    slots = f", {_counted(len(one.slots), 'slot')}" if one.slots else ""
    return "; ".join(
        (
            f"{one.kind} of {content}{slots}",
            f"ads of {', '.join(ads)}" if ads else "no ads",
            f"the {one.tracking} tells what was played",
            f"events of {one.source}",
        )
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
