"""What is inside a guest: its image, its seed disk, its first process."""
