"""The dev server: the site as it lies on the disk, its videos by range, and pages that reload."""

from generator.devserver.files import App, ServedSite
from generator.devserver.hostnames import network_address, own_names
from generator.devserver.server import DevServer

__all__ = ["App", "DevServer", "ServedSite", "network_address", "own_names"]
