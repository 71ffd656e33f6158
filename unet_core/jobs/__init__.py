"""Work in separate processes, the files they write, and the memory of this process."""
