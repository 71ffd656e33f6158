"""What several pages share: page frame, number formats, legend, models, status, address."""
