"""What is kept: results by the digest of what they depend on, and a run's files."""
