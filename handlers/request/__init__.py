"""What a request says and how its answer is written."""
