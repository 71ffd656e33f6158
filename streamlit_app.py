"""Home; and, as a module, the app that `streamlit run` serves: all pages, and the HTTP API at /api."""

import streamlit as st

if __name__ == "__main__":  # a visitor opens the page; the server imports this file instead, for `app`
    from ui.home import page

    page.draw()
else:
    from ui.shared import server
    from ui.shared.api import api_routes

    app = st.App(__file__, routes=api_routes(), lifespan=server.lifespan)
