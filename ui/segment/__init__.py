"""The Segment page: the visitor's photos, how they are segmented, and what is shown of each."""
