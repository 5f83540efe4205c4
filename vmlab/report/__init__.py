"""Results as tables, pictures, JSON and HTML, and the files and documents they go to."""
