"""What a job is and does, inside its process."""
