"""MID: the paper for any kind of values (`core`), and one file for what each kind adds."""
