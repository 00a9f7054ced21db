"""A stand-in for the metadata server, from which programs on Google Cloud get their credentials."""

from fake_services.metadata.server import Metadata, MetadataConfig

__all__ = ["Metadata", "MetadataConfig"]
