"""Everything that the Results page shows, measured once and kept in small JSON files; nothing here imports Streamlit.

files.py          the files' form: written by measuring, read by pages, checked when read
evaluation.py     one pass over photos: classes, groups, single photos, calibration; and the whole of one model's file
calibration.py    how often a network is right when it says how sure it is
corruptions.py    photos made worse, with seeds; robustness.py measures a model on them
everyday.py      a model on stand-ins for everyday photos, which everyday_photos.py composes of validation photos
published.py      what others report for this dataset, with sources and settings
comparison.py     architectures trained here under one equal small budget (comparison_recipes.py lists them,
                  comparison_data.py prepares their photos and masks)
"""
