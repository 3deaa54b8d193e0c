"""The server of the page."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from csl_plugin.app.extra import gradio
from csl_plugin.app.uploads import LARGEST_UPLOAD

if TYPE_CHECKING:
    from gradio import Blocks

LOCAL, PORT = "127.0.0.1", 7860
_WAITING = 32
_KEPT_BY_GRADIO = 64


def launch(
    app: Blocks, *, host: str = LOCAL, port: int | None = PORT, share: bool = False, block: bool = True
) -> str:
    """Serve the page.

    Args:
        app: What `build_app` returns.
        host: The address to listen at; the default is reached from this machine only.
        port: The port; None for the first free one from 7860 on.
        share: Open a public address of gradio.live too, through a tunnel of Hugging Face.
        block: Return when the server was stopped.

    Returns:
        The address of the page.

    Raises:
        OSError: The port is taken, or there is no such address.
    """
    gr = gradio()
    look = gr.themes.Base(
        primary_hue="orange",
        neutral_hue="zinc",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
    )
    _, local, _ = app.queue(max_size=_WAITING, api_open=False).launch(
        server_name=host,
        server_port=port,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=LARGEST_UPLOAD,
        state_session_capacity=_KEPT_BY_GRADIO,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        footer_links=["gradio", "settings"],
        theme=look,
        css=files("csl_plugin.app").joinpath("page.css").read_text(encoding="utf-8"),
    )
    if block:
        app.block_thread()
    return str(app.share_url or local)
