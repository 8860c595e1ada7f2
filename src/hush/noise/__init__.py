"""Noise as ladders. All laws are loaded together, so that a spec may name any of them."""

from hush.noise import processes as processes
