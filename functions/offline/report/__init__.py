"""Parts of a report: its style, pictures and tables, the same on every page and card."""
