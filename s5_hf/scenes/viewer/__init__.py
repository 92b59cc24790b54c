"""A scene and its class map as one HTML file to look at."""
