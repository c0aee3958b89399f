"""How a network is trained; one file, one method. Drop a file in and `bench list` shows it."""
