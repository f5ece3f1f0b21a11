"""Events from data sets and files, as lists of EventStream."""
