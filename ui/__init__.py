"""The Streamlit half of the app: one folder a page, what pages share, and the components."""
