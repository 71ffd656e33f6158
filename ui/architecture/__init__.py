"""The Architecture page: a configuration chosen, drawn, explained and exported."""
