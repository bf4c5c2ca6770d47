"""See into a trained model: filters, feature maps, Grad-CAM heatmaps."""
