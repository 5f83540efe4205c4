"""Results as tables, JSON and HTML, and the files they go to."""
