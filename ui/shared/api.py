"""The HTTP API beside the pages, in the same process."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount
from streamlit import config
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from unet_core.api.routes import api_app
from unet_core.segment.engine import keep_tensorflow_out_of_process


def api_routes() -> list[BaseRoute]:
    """Return the routes of the HTTP API, below the pages' own address."""
    keep_tensorflow_out_of_process()
    base = config.get_option("server.baseUrlPath").strip("/")
    prefix = f"/{base}/api" if base else "/api"
    return [Mount(prefix, api_app(prefix, is_host_allowed))]
