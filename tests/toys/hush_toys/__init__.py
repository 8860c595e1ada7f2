"""A kind of data, a format, a method and a study, none of which hush knows of."""
