"""Work in processes of its own, the tables it leaves, and memory handed back."""
