"""Where the project's own files are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
TEMPLATES = ROOT / "templates"
NGINX_TEMPLATE = ROOT / "deploy" / "nginx.conf"
