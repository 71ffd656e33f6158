"""The Oxford-IIIT Pet dataset: its reader, its download, and the photos that cross its official split."""
