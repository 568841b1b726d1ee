"""What a model is and how it learns: data, text statistics, embedding → encoder → head, training, runs."""
