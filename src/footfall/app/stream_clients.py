"""Who sends requests to streams, told by the rules of all tracking: proxies, enriching, consent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footfall.collect import consent, framing
from footfall.collect.contract import Request
from footfall.collect.enrich import Enricher
from footfall.collect.proxies import Proxies
from footfall.settings import Service
from footfall.stream.decisions import Client
from footfall.stream.events import Sender
from footfall.stream.services import Services


class StreamClients:
    """Senders of requests. `services` may be replaced: the settings were read anew."""

    def __init__(self, services: Services, proxies: Proxies, enricher: Enricher) -> None:
        self.services = services
        self._proxies = proxies
        self._enricher = enricher

    def __call__(self, scope: Mapping[str, Any], service: Service, session_id: str) -> Client:
        """Who sent a request of a session, as far as it may be known."""
        source = self.services.source_of(service)
        headers = framing.joined(scope["headers"])
        peer = scope.get("client") or ("", 0)
        address, scheme = self._proxies.client(peer[0], scope["scheme"], headers)
        request = Request(
            method="GET", path=scope["path"], headers=headers, client_ip=address, scheme=scheme
        )
        visit = self._enricher(request, source)
        sender = Sender(
            source=source.id,
            service=service.id,
            session_id=session_id,
            channel=visit.channel,
            brand=visit.brand,
            country=visit.country,
            device=visit.device,
            os=visit.os,
            browser=visit.browser,
            ip=visit.ip,
            withheld=consent.look(request, source).withheld,
        )
        texts = {name.decode("latin-1"): each.decode("latin-1") for name, each in headers.items()}
        return Client(sender, texts, address)
