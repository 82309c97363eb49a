"""Other programs that run networks: OpenCV, in this process or in one of its own."""
