"""The figures of a report: SVG with classes that the page's style colours, and small pictures of maps."""
