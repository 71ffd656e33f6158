"""The Train page: a run set up, started, watched, compared and taken further."""
