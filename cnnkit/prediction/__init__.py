"""Use a trained model: predict, evaluate, calibrate its probabilities."""
