"""What a network shows before and after training: probes, signal propagation, similarity, the Jacobian, predictions."""
