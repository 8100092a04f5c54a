"""RabbitMQ: queues, whose messages are acknowledged after their commit, and streams, which are read by offsets."""
