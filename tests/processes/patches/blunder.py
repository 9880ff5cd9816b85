"""The vaix protocol meets a fault of its own where a request has the header x-fault."""

import msgspec


def child(_parameters):
    from footfall.collect.protocols import vaix

    decode = vaix.PROTOCOL.decode

    def blunder(request, sources):
        if b"x-fault" in request.headers:
            raise RuntimeError(f"cannot bear {request.body!r} of {request.headers!r}")
        return decode(request, sources)

    vaix.PROTOCOL = msgspec.structs.replace(vaix.PROTOCOL, decode=blunder)
