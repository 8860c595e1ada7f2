"""Self-contained HTML pages: their frame, plots, pictures and words."""
