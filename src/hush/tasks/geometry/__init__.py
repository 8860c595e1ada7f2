"""Robust geometry: lines, vanishing points, and the epipolar geometry of two views."""
