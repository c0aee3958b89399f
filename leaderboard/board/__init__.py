"""What finished runs say, as frames of pandas and as networks, inputs and witnesses."""
