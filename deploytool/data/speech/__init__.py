"""Speech: utterances, synthetic voices, and mixtures of them."""
