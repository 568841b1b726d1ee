"""Folders in the layout of the Hugging Face Hub, made of runs and archives, and back."""
