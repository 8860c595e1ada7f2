"""Networks: plain modules that know tensors and nothing else."""
