"""What methods are built on: one file for each way to learn or to choose.

A method of one paper is in `hush.methods`; what two of them share, or may share, is here.
"""
