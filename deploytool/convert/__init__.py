"""The borders: other people's formats to and from Graph."""
