"""The worker process: the session that orders the stages, its server and its client."""
