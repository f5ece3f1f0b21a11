"""A convolution, the neurons that it drives and the sum pooling after them, in one loop over the time of a sample."""
