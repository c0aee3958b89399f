"""Where jobs run: in this process, on this machine's cores and GPUs, or on a cluster."""
