"""Custom datasets: folders and ZIP archives, read, checked and reported on before training."""
