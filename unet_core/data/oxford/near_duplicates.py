"""Photos of Oxford's official train split that are near-duplicates of a photo of its test split."""

# Found by comparing all photos across the two splits. Without them in training, the test is on unseen pets only.
NEAR_DUPLICATES_IN_TRAIN: frozenset[str] = frozenset(
    {
        "Abyssinian_151.jpg",
        "Bombay_146.jpg",
        "British_Shorthair_160.jpg",
        "British_Shorthair_186.jpg",
        "Egyptian_Mau_138.jpg",
        "Egyptian_Mau_186.jpg",
        "german_shorthaired_150.jpg",
        "german_shorthaired_179.jpg",
        "german_shorthaired_180.jpg",
        "great_pyrenees_173.jpg",
        "japanese_chin_137.jpg",
        "japanese_chin_140.jpg",
        "japanese_chin_158.jpg",
        "japanese_chin_176.jpg",
        "japanese_chin_187.jpg",
        "japanese_chin_188.jpg",
        "keeshond_140.jpg",
        "keeshond_141.jpg",
        "keeshond_152.jpg",
        "keeshond_175.jpg",
        "leonberger_187.jpg",
        "leonberger_189.jpg",
        "newfoundland_149.jpg",
        "newfoundland_172.jpg",
    }
)
