"""Reading configuration: documents, layers, typed values, problems and their places."""
