"""A name server of a few names, which can stop resolving them."""

from fake_services.name_server.server import NameServer, NameServerConfig

__all__ = ["NameServer", "NameServerConfig"]
