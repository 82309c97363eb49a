"""Two networks side by side: weights, outputs, detections. Start at `demitasse.evaluate.compare`."""
