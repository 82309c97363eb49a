// lossless
