"""The report as a page: one HTML file that needs no network, and nothing of its own from JavaScript but the filter."""
