"""The dev server: serves the site from disk, videos by range, and reloads open pages."""

from generator.devserver.files import App, ServedSite
from generator.devserver.hostnames import network_address, own_names
from generator.devserver.server import DevServer

__all__ = ["App", "DevServer", "ServedSite", "network_address", "own_names"]
