"""Everything that the Results page shows, measured once and stored in small JSON files; nothing here imports Streamlit.

files.py          the files' schema: written by measurements, read by pages, checked when read
evaluation.py     one pass over photos: classes, groups, single photos, calibration; and a model's complete file
calibration.py    how often a network is right at each confidence
robustness.py     a model on corrupted photos, see unet_core.images.corruptions
everyday.py       a model on stand-ins for everyday photos, which everyday_photos.py composes from validation photos
published.py      published results on this dataset, with sources and settings
comparison.py     architectures trained here under one equal small budget (compared_networks.py lists them,
                  comparison_data.py prepares their photos and masks)
"""
