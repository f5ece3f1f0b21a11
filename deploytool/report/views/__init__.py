"""Views of results for notebooks: small pieces of HTML and SVG without scripts, on light and on dark pages."""
