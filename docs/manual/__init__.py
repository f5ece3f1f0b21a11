"""What the documentation takes from the code: every page is filled when it is built, so that it cannot drift."""
