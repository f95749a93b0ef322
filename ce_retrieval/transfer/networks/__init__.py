"""AlexNet and the networks made of it, and what they start from."""
