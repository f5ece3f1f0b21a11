"""PTL, progressive tandem learning."""
