"""Noise processes. All laws are imported together, so that a spec can name any of them."""

from hush.noise import processes as processes
