"""Datasets: Oxford pets, synthetic pets and folders of photos and masks, up to batches ready for training."""
