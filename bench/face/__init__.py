"""What is asked for, in Python or on the command line: checked, computed, and given back."""
