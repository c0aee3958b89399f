"""What comes in: data sets, and networks trained elsewhere."""
