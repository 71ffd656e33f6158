"""The Oxford-IIIT Pet dataset: its reader, its download, and the near-duplicates across its official split."""
