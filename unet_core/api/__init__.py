"""The HTTP API: segment photos, list the models, describe itself; Starlette routes without Streamlit or TensorFlow."""
