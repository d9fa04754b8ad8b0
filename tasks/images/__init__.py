"""What several tasks share of images: the handwritten digits and what is made of them, CIFAR, and batches of images held in memory."""
