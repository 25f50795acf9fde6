"""Large batches: files of requests in, files of results out, in OpenAI's batch format."""
