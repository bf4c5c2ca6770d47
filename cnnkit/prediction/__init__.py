"""Use a trained model: predict, measure it on data, calibrate its probabilities."""
