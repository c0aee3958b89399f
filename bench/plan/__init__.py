"""What a command asks for, as cells, and as a graph of jobs; nothing is trained or judged here."""
