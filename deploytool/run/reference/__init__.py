"""The specification in executable form."""
