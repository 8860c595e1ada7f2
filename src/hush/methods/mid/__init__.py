"""MID: the paper once, for values of any kind (`core`), and what each kind adds, a file each."""
