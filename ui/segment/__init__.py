"""The Segment page: the session's photos, how they are segmented, and the views of each."""
