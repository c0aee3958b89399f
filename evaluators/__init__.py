"""How robust a network is; one file, one evaluator. Drop a file in and `bench list` shows it."""
