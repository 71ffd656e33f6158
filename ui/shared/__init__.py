"""What several pages share: the frame around them, numbers for people, legend, models, status, URL."""
