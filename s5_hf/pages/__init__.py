"""Self-contained HTML pages: parts, charts and curves that need no library and no network."""
