"""The Streamlit-only pieces that the pages share: frame, legend, cards, cached engines, numbers for people."""
