// quantizer
