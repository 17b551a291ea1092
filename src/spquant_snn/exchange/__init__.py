"""Networks trained elsewhere come in, integer networks go out."""
