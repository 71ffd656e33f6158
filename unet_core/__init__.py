"""The library behind U-Net Studio: configurations, exact shapes, models, data, training and segmentation."""

__version__ = "0.1.0"
