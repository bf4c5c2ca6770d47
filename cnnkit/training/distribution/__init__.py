"""Several devices and machines: the same steps on the same global batches, each replica computing a slice."""
