"""What methods of several papers derive from: one file for each way to learn or to choose.

A method of one paper is in `hush.methods`; what two of them share is here.
"""
