"""Caffe's files: prototxt and caffemodel of every generation, read, upgraded and written."""
