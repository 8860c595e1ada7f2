"""What data are used for after denoising: estimators, one file a field. They need no networks."""
