"""From a model folder, an ONNX file or a model to probabilities or boxes for a batch of images."""
