"""How commands reach the process that holds a data directory: HTTP on a socket file in it.

``contract``  what can be asked (`Service`), and the shape of what comes back
``server``    the socket's server, inside the worker
``client``    the same `Service`, spoken to over the socket

The socket is for the owner of the directory (mode 0600) and needs no key beyond that. It is no
public interface: command and server are of one release.
"""

from footfall.control.client import Control
from footfall.control.contract import CONTENT_TYPES, Service, tail_line
from footfall.control.server import control_app, control_socket, serving

__all__ = [
    "CONTENT_TYPES",
    "Control",
    "Service",
    "control_app",
    "control_socket",
    "serving",
    "tail_line",
]
