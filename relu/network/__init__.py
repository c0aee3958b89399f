"""Networks: the normal form that the theory sees, its readers, and architectures."""
