"""Google Pub/Sub: messages of a subscription, acknowledged after their commit, each once by its id."""
